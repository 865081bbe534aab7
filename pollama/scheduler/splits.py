"""The layouts ``pipeline`` and ``hybrid``: one layer split, or replicas of splits. Pure.

The stages of a split are the fastest devices of a pool; each further one joins for as long as that makes the split
faster, or the model does not fit yet. In a small split each device is tried whether it would be faster without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.scheduler.fitting import Apportion, Space, Team, by_memory
from pollama.scheduler.ground import Ground, left_out, speed_beside
from pollama.scheduler.layers import BySpeed
from pollama.types.plans import Alternative, Plan

_PATIENCE: Final = 2
"""So many further devices that make a split no faster, and no more are tried."""
_FEW: Final = 4
_SMALL: Final = 8
_GROUPS: Final = 2
"""More than so many groups on the same stages were measured to bring no more."""
_MOST_STAGES: Final = 64


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
    return ground.case.alternative("pipeline", [replace(plan, groups=groups)] * groups, reason)


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
        plan = best_split(ground, size) if size else _smallest_split(ground)
        if plan is None or (first is not None and plan.gpu_layers != first.gpu_layers):
            break
        yield plan
        first, size = first or plan, stage_count(plan)
        ground = ground.without(plan)


def stage_count(plan: Plan) -> int:
    """Return how many devices hold blocks."""
    return sum(1 for share in plan.shares if share.layers)


def _smallest_split(ground: Ground) -> Plan | None:
    sizes = range(2, min(len(ground.usable), _SMALL) + 1)
    return next((plan for size in sizes if (plan := best_split(ground, size)) is not None), None)


def best_split(ground: Ground, size: int = 0) -> Plan | None:
    """Return the fastest layer split over ``size`` devices (0 = any number from two on), or None where none fits."""
    splits = [split for pool in _pools(ground) for split in _splits(ground, pool, size)]
    splits.sort(key=lambda split: -split.worth)
    return next((plan for split in splits if (plan := ground.case.fit(split.team)) is not None), None)


@dataclass(frozen=True, slots=True)
class _Split:
    team: Team
    worth: float


def _pools(ground: Ground) -> list[list[Space]]:
    """Return the sets of devices that a split may be over: GPUs of each kind, all GPUs, CPU devices."""
    gpus = [space for space in ground.usable if space.device.is_gpu]
    kinds = dict.fromkeys(space.device.kind for space in gpus)
    pools = [[space for space in gpus if space.device.kind == kind] for kind in kinds]
    if len(kinds) > 1 and ground.case.policy.multi_gpu.cross_vendor:
        pools.append(gpus)
    return [*pools, [space for space in ground.usable if not space.device.is_gpu]]


def _splits(ground: Ground, pool: Sequence[Space], size: int) -> Iterator[_Split]:
    """Yield splits over the fastest devices of a pool, with ever more of them."""
    best, worse = 0.0, 0
    for count in _counts(ground, pool, size):
        split = _refined(ground, pool[:count], size)
        if split is not None:
            yield split
            worse = 0 if split.worth > best else worse + 1
            best = max(best, split.worth)
        if worse > _PATIENCE:
            break
    if best == 0.0 and (split := _with_host(ground, pool, size)):
        yield split


def _counts(ground: Ground, pool: Sequence[Space], size: int) -> range:
    """Return the numbers of stages that are worth trying: from where the model may fit."""
    most = min(len(pool), ground.case.layers, _MOST_STAGES)
    if size:
        return range(size, size + 1) if size <= most else range(0)
    if ground.case.asked.algorithm == "memory_only":
        return range(most, most + 1) if most > 1 else range(0)
    blocks = ground.case.blocks_bytes
    least, held = 0, 0
    while least < most and held < blocks:
        held += max(0, ground.case.room(pool[least]))
        least += 1
    return range(max(2, least), most + 1) if held >= blocks else range(0)


def _refined(ground: Ground, chosen: Sequence[Space], size: int) -> _Split | None:
    """Return a split over ``chosen``, fastest first, or over one device less where that is faster."""
    split = _split(ground, chosen)
    if size or not 2 < len(chosen) <= _SMALL or ground.case.asked.algorithm == "memory_only":
        return split
    smaller = [_split(ground, [space for space in chosen if space is not left]) for left in chosen]
    found = [candidate for candidate in (split, *smaller) if candidate is not None]
    return max(found, key=lambda candidate: candidate.worth, default=None)


def _split(ground: Ground, chosen: Sequence[Space]) -> _Split | None:
    """Return the best split over all of ``chosen``, in whichever order; None where they cannot hold the model."""
    found = (_in_order(ground, stages) for stages in _orders(ground, chosen))
    return max((split for split in found if split), key=lambda split: split.worth, default=None)


def _orders(ground: Ground, chosen: Sequence[Space]) -> list[tuple[Space, ...]]:
    """Return orders of the stages: the last one has the output too. In a few stages each is tried there."""
    case = ground.case
    ascending = sorted(chosen, key=lambda space: case.rate_alone(space, case.clients))
    lasts = ascending[::-1] if len(ascending) <= _FEW else [ascending[-1], ascending[0]]
    return [(*(space for space in ascending if space is not last), last) for last in lasts]


def _in_order(ground: Ground, stages: tuple[Space, ...]) -> _Split | None:
    case = ground.case
    team = Team(stages, ground.host if stages[0].device.is_gpu else None, case.layers, _apportion(ground, stages))
    borders = team.apportion(case.need, 0, stages)
    if borders[0] == borders[-1]:
        return None
    devices = [space.device for space in stages]
    rate = case.work.rate(case.split_engine(devices, borders, ground.groups), case.clients)
    return _Split(team, case.worth(rate, devices))


def _with_host(ground: Ground, pool: Sequence[Space], size: int) -> _Split | None:
    """Return the best split in which a CPU device has the blocks that the GPUs of a pool have no room for."""
    case = ground.case
    block = max(weight + kv for weight, kv in zip(case.need.weights, case.need.kv, strict=True))
    gpus = [space for space in pool if space.device.is_gpu and case.room(space) >= block]
    hosts = [space for space in ground.usable if not space.device.is_gpu][:_FEW]
    found = [_on_host(ground, gpus[: size - 1 or None] if size else gpus[:_SMALL], host) for host in hosts if gpus]
    return max((split for split in found if split), key=lambda split: split.worth, default=None)


def _on_host(ground: Ground, gpus: Sequence[Space], host: Space) -> _Split | None:
    case = ground.case
    missing = case.blocks_bytes - sum(case.room(space) for space in gpus)
    if not 0 < missing <= host.free:
        return None
    stages = _orders(ground, gpus)[0]
    team = Team(stages, host, None, _apportion(ground, stages))
    plan = case.fit(team)
    if plan is None:
        return None
    return _Split(team, case.worth(case.rate([case.engine(plan)]), [host.device, *(gpu.device for gpu in gpus)]))


def _apportion(ground: Ground, stages: Sequence[Space]) -> Apportion:
    if ground.case.asked.algorithm == "memory_only":
        return by_memory
    passage = ground.case.work.decode(max(1, min(ground.case.clients, ground.case.sequences) // ground.groups))
    return BySpeed(passage, {space.device.id: speed_beside(space) for space in stages}, ground.groups)
