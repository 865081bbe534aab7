"""Several layer splits side by side, each over devices of its own. Pure.

Of few devices every way to divide them into sets is looked at: taking the best split first can leave devices that
cannot hold another one. Of many, the splits are taken one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Final

from pollama.scheduler.fitting import Space
from pollama.scheduler.ground import Ground
from pollama.scheduler.splits import Split, best_split, pools, split_over, stage_count
from pollama.types.plans import Plan

_FEW: Final = 6
"""So many devices are divided in every way."""
_MOST_STAGES: Final = 8
"""A replica of a hybrid has not more stages, unless somebody says how many."""


def side_by_side(ground: Ground, size: int, most: int) -> Iterator[list[Plan]]:
    """Yield layouts of two to ``most`` splits over ``size`` devices each (0 = any equal number)."""
    found = list(islice(_in_turn(ground, size), most))
    for count in range(2, len(found) + 1):
        yield found[:count]
    for pool in pools(ground):
        if len(pool) <= _FEW:
            for stages in (size,) if size else range(2, len(pool) // 2 + 1):
                yield from _divided(ground, pool, stages, most)


def _in_turn(ground: Ground, size: int) -> Iterator[Plan]:
    """Yield splits, each the best one over the devices that the ones before leave."""
    first = None
    while (plan := best_split(ground, size) if size else _smallest(ground)) is not None:
        if first is not None and plan.gpu_layers != first.gpu_layers:
            break
        yield plan
        first, size = first or plan, stage_count(plan)
        ground = ground.without(plan)


def _smallest(ground: Ground) -> Plan | None:
    sizes = range(2, min(len(ground.usable), _MOST_STAGES) + 1)
    return next((plan for size in sizes if (plan := best_split(ground, size)) is not None), None)


def _divided(ground: Ground, pool: Sequence[Space], size: int, most: int) -> Iterator[list[Plan]]:
    """Yield for each number of splits the ones over devices of a pool that are worth most together."""
    splits = [split for chosen in combinations(pool, size) if (split := split_over(ground, chosen)) is not None]
    best: dict[int, tuple[float, list[Split]]] = {}
    for chosen in _disjoint(splits, frozenset(), most):
        worth = sum(split.worth for split in chosen)
        if worth > best.get(len(chosen), (0.0, []))[0]:
            best[len(chosen)] = worth, chosen
    for count, (_, chosen) in best.items():
        if count > 1 and len(plans := list(_fitted(ground, chosen))) == count:
            yield plans


def _disjoint(splits: Sequence[Split], taken: frozenset[str], most: int) -> Iterator[list[Split]]:
    """Yield every set of at most ``most`` splits that have no device in common, and none that is ``taken``."""
    yield []
    for place, split in enumerate(splits if most else ()):
        devices = {space.device.id for space in split.team.stages}
        if taken.isdisjoint(devices):
            for others in _disjoint(splits[place + 1 :], taken | devices, most - 1):
                yield [split, *others]


def _fitted(ground: Ground, splits: Sequence[Split]) -> Iterator[Plan]:
    """Yield the plans of splits up to one for which the others leave no memory."""
    for split in splits:
        devices = {space.device.id for space in split.team.stages}
        left = [space for space in ground.usable if space.device.id in devices]
        again = split_over(ground, left) if len(left) == len(devices) else None
        plan = None if again is None else ground.case.fit(again.team)
        if plan is None:
            return
        yield plan
        ground = ground.without(plan)
