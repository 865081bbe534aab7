"""The layouts ``pipeline`` and ``hybrid``: one layer split, or replicas of splits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pollama.scheduler.ground import Ground, left_out
from pollama.scheduler.splits import best_split, stage_count
from pollama.types.plans import Alternative, Plan

_GROUPS: Final = 2
"""More than so many groups on the same stages were measured to bring no more."""
_MOST_STAGES: Final = 8
"""A replica of a hybrid has not more stages, unless somebody says how many."""


def pipeline(ground: Ground) -> Alternative | None:
    """Return the best layer split over at least two devices, the CPU beside GPUs being one, or None."""
    layouts = [layout for groups in (1, _GROUPS) if (layout := _in_groups(ground, groups)) is not None]
    return max(layouts, key=ground.case.worth_of, default=None)


def _in_groups(ground: Ground, groups: int) -> Alternative | None:
    """Return one split, or ``groups`` of it on the same CPU devices."""
    plan = best_split(ground if groups == 1 else ground.in_groups(groups), ground.case.asked.pipeline_size)
    if plan is None:
        return None
    times = "" if groups == 1 else f", {groups} times to keep all of them at work"
    reason = f"layers over {stage_count(plan)} devices{times}{left_out([plan], ground.usable)}"
    return ground.case.alternative("pipeline", [plan] * groups, reason)


def hybrid(ground: Ground) -> Alternative | None:
    """Return the best number of replicas of layer splits with equally many stages, or None for fewer than two."""
    case, found = ground.case, list(_several(ground))
    layouts = [
        case.alternative("hybrid", found[:count], f"{count} replicas of a split over {stage_count(found[0])} devices")
        for count in range(2, len(found) + 1)
    ]
    return max(layouts, key=case.worth_of, default=None)


def _several(ground: Ground) -> Iterator[Plan]:
    first, size = None, ground.case.asked.pipeline_size
    for _ in range(min(ground.case.asked.replicas or ground.case.clients, ground.case.clients)):
        plan = best_split(ground, size) if size else _smallest(ground)
        if plan is None or (first is not None and plan.gpu_layers != first.gpu_layers):
            break
        yield plan
        first, size = first or plan, stage_count(plan)
        ground = ground.without(plan)


def _smallest(ground: Ground) -> Plan | None:
    sizes = range(2, min(len(ground.usable), _MOST_STAGES) + 1)
    return next((plan for size in sizes if (plan := best_split(ground, size)) is not None), None)
