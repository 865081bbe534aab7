"""One layer split: which devices are its stages, in which order. Pure.

The stages are the most worthy devices of a pool; each further one joins for as long as that makes the split faster, or
the model does not fit yet. In a small split each device is tried whether it would be faster without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from pollama.scheduler.costs import stage_speed
from pollama.scheduler.fitting import Apportion, Space, Team, by_memory
from pollama.scheduler.ground import Ground, shared
from pollama.scheduler.layers import BySpeed
from pollama.types.plans import Plan

_PATIENCE: Final = 1
"""So many further devices that make a split no faster, and no more are tried."""
_FITTED: Final = 4
"""So many splits that promise most are fitted: how many sequences there is memory for decides between them."""
_FEW: Final = 4
_SMALL: Final = 8
_MOST_STAGES: Final = 64


def stage_count(plan: Plan) -> int:
    """Return how many devices hold blocks."""
    return sum(1 for share in plan.shares if share.layers)


def best_split(ground: Ground, size: int = 0) -> Plan | None:
    """Return the fastest layer split over ``size`` devices (0 = any number from two on), or None where none fits.

    Without a size, the CPU may have the blocks that GPUs have no room for.
    """
    able = pools(ground)
    splits = [split for pool in able for split in (_of_size(ground, pool, size) if size else _of_any(ground, pool))]
    if not splits and not size:
        splits = [split for pool in able if (split := _with_host(ground, pool))]
    splits.sort(key=lambda split: -split.worth)
    fitted = filter(None, (ground.case.fit(split.team) for split in splits))
    plans = (replace(plan, groups=ground.groups) for plan in fitted)
    return max(islice(plans, _FITTED), key=lambda plan: _worth(ground, plan), default=None)


def _worth(ground: Ground, plan: Plan) -> float:
    holders = [ground.case.devices[share.device] for share in plan.shares if share.layers]
    return ground.case.worth(ground.case.work.rate_together([ground.case.engine(plan)]), holders)


@dataclass(frozen=True, slots=True)
class Split:
    """Stages that can hold the model, and what they are worth (``Case.worth``)."""

    team: Team
    worth: float


def pools(ground: Ground) -> list[list[Space]]:
    """Return the sets of devices that a split may be over: GPUs of each kind, all GPUs, CPU devices.

    Devices on which no block fits are in none of them.
    """
    need = ground.case.need
    block = min(weight + kv for weight, kv in zip(need.weights[:-1], need.kv[:-1], strict=True))
    able = [space for space in ground.usable if ground.case.room(space) >= block]
    gpus = [space for space in able if space.device.is_gpu]
    kinds = dict.fromkeys(space.device.kind for space in gpus)
    found = [[space for space in gpus if space.device.kind == kind] for kind in kinds]
    if len(kinds) > 1 and ground.case.policy.multi_gpu.cross_vendor:
        found.append(gpus)
    return [*found, [space for space in able if not space.device.is_gpu]]


def _of_size(ground: Ground, pool: Sequence[Space], size: int) -> Iterator[Split]:
    """Yield the first split that fits over ``size`` neighbours in the order of a pool, or else over the largest."""
    splits = (split_over(ground, chosen) for chosen in _sets(ground, pool, size))
    yield from islice(filter(None, splits), 1)


def _sets(ground: Ground, pool: Sequence[Space], size: int) -> Iterator[Sequence[Space]]:
    for begin in range(min(_SMALL, len(pool) - size + 1)):
        yield pool[begin : begin + size]
    if size <= len(pool):
        yield sorted(pool, key=lambda space: -ground.case.room(space))[:size]


def _of_any(ground: Ground, pool: Sequence[Space]) -> Iterator[Split]:
    """Yield splits over the first devices of a pool, with ever more of them, and refine the best one."""
    best, worse = None, 0
    for count in _counts(ground, pool):
        split = split_over(ground, pool[:count])
        if split is not None:
            yield split
            worse = worse + 1 if best and split.worth <= best.worth else 0
            best = best if worse else split
        if worse > _PATIENCE:
            break
    if best is not None and ground.case.asked.algorithm != "memory_only":
        yield from _smaller(ground, best.team.stages)
        yield from _smaller(ground, pool[: len(best.team.stages) + 1])


def _counts(ground: Ground, pool: Sequence[Space]) -> range:
    """Return the numbers of stages that are worth trying: from where the model may fit."""
    most = min(len(pool), ground.case.layers, _MOST_STAGES)
    if ground.case.asked.algorithm == "memory_only":
        return range(most, most + 1) if most > 1 else range(0)
    blocks = ground.case.blocks_bytes
    least, held = 0, 0
    while least < most and held < blocks:
        held += max(0, ground.case.room(pool[least]))
        least += 1
    return range(max(2, least), most + 1) if held >= blocks else range(0)


def _smaller(ground: Ground, stages: Sequence[Space]) -> Iterator[Split]:
    """Yield the splits over one device less."""
    if 2 < len(stages) <= _SMALL:
        sets = ([space for space in stages if space is not left] for left in stages)
        yield from filter(None, (split_over(ground, chosen) for chosen in sets))


def split_over(ground: Ground, chosen: Sequence[Space]) -> Split | None:
    """Return the best split over all of ``chosen``, in whichever order; None where they cannot hold the model."""
    if sum(max(0, ground.case.room(space)) for space in chosen) < ground.case.blocks_bytes:
        return None
    found = (_in_order(ground, stages) for stages in _orders(ground, chosen))
    return max((split for split in found if split), key=lambda split: split.worth, default=None)


def _orders(ground: Ground, chosen: Sequence[Space]) -> list[tuple[Space, ...]]:
    """Return orders of the stages: the fastest last, which has the output too; of few, each is tried there."""
    case = ground.case
    ascending = sorted(chosen, key=lambda space: case.rate_alone(space, case.clients))
    lasts = ascending[::-1] if len(ascending) <= _FEW else ascending[-1:]
    return [(*(space for space in ascending if space is not last), last) for last in lasts]


def _in_order(ground: Ground, stages: tuple[Space, ...]) -> Split | None:
    case = ground.case
    team = Team(stages, ground.host if stages[0].device.is_gpu else None, case.layers, _apportion(ground, stages))
    borders = team.apportion(case.need, 0, stages)
    if borders[0] == borders[-1]:
        return None
    devices = [space.device for space in stages]
    rate = case.work.rate(case.split_engine(stages, borders, ground.groups), case.clients)
    return Split(team, case.worth(rate, devices))


def _with_host(ground: Ground, pool: Sequence[Space]) -> Split | None:
    """Return the best split in which a CPU device has the blocks that the GPUs of a pool have no room for."""
    gpus = [space for space in pool if space.device.is_gpu]
    hosts = [space for space in ground.usable if not space.device.is_gpu][:_FEW]
    found = [_on_host(ground, gpus[:_SMALL], host) for host in hosts if gpus]
    return max((split for split in found if split), key=lambda split: split.worth, default=None)


def _on_host(ground: Ground, gpus: Sequence[Space], host: Space) -> Split | None:
    case = ground.case
    missing = case.blocks_bytes - sum(case.room(space) for space in gpus)
    if not 0 < missing <= host.free:
        return None
    stages = _orders(ground, gpus)[0]
    team = Team(stages, host, None, _apportion(ground, stages))
    plan = case.fit(team)
    return None if plan is None else Split(team, _worth(ground, plan))


def _apportion(ground: Ground, stages: Sequence[Space]) -> Apportion:
    if ground.case.asked.algorithm == "memory_only":
        return by_memory
    passage = ground.case.work.decode(max(1, min(ground.case.clients, ground.case.sequences) // ground.groups))
    devices = [space.device for space in stages]
    speeds = {space.device.id: shared(stage_speed(space.device, devices), space) for space in stages}
    return BySpeed(passage, speeds, ground.groups)
