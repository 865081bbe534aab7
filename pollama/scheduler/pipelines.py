"""The layouts ``pipeline`` and ``hybrid``: one layer split, or replicas of splits. Pure."""

from __future__ import annotations

from typing import Final

from pollama.scheduler.ground import Ground, left_out
from pollama.scheduler.packing import side_by_side
from pollama.scheduler.splits import best_split, stage_count
from pollama.types.plans import Alternative

_GROUPS: Final = 2
"""More than so many groups on the same stages were measured to bring no more."""


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
    case = ground.case
    most = min(case.asked.replicas or case.clients, case.clients)
    layouts = [
        case.alternative("hybrid", plans, f"{len(plans)} replicas of a split over {stage_count(plans[0])} devices")
        for plans in side_by_side(ground, case.asked.pipeline_size, most)
    ]
    return max(layouts, key=case.worth_of, default=None)
