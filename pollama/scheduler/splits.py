"""The layouts ``pipeline`` and ``hybrid``: one layer split, or replicas of splits. Pure.

The stages of a split are the fastest devices of a pool; each further one joins for as long as that makes the split
faster, or the model does not fit yet. In a small split each device is tried whether it would be faster without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pollama.scheduler.costs import layer_engine
from pollama.scheduler.fitting import Apportion, Space, Team, by_memory
from pollama.scheduler.ground import Ground
from pollama.scheduler.layers import BySpeed
from pollama.types.plans import Alternative, Plan

_PATIENCE: Final = 2
"""So many further devices that make a split no faster, and no more are tried."""
_SMALL: Final = 8
_MOST_STAGES: Final = 64


def pipeline(ground: Ground) -> Alternative | None:
    """Return the best layer split over at least two devices, the CPU beside GPUs being one, or None."""
    plan = best_split(ground, ground.asked.pipeline_size)
    return None if plan is None else ground.alternative("pipeline", [plan], _reason(plan))


def hybrid(ground: Ground) -> Alternative | None:
    """Return the best number of replicas of layer splits with equally many stages, or None for fewer than two."""
    found = list(_several(ground))
    rates = [ground.rate([ground.engine(plan) for plan in found[:count]]) for count in range(2, len(found) + 1)]
    if not rates:
        return None
    plans = found[: rates.index(max(rates)) + 2]
    reason = f"{len(plans)} replicas of a split over {stage_count(plans[0])} devices"
    return ground.alternative("hybrid", plans, reason)


def _several(ground: Ground) -> Iterator[Plan]:
    first, size = None, ground.asked.pipeline_size
    for _ in range(min(ground.asked.replicas or ground.demand.clients, ground.demand.clients)):
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
    splits.sort(key=lambda split: -split.rate)
    return next((plan for split in splits if (plan := ground.fit(split.team)) is not None), None)


@dataclass(frozen=True, slots=True)
class _Split:
    team: Team
    rate: float


def _pools(ground: Ground) -> list[list[Space]]:
    """Return the sets of devices that a split may be over: GPUs of each kind, all GPUs, CPU devices."""
    gpus = [space for space in ground.usable if space.device.is_gpu]
    kinds = dict.fromkeys(space.device.kind for space in gpus)
    pools = [[space for space in gpus if space.device.kind == kind] for kind in kinds]
    if len(kinds) > 1 and ground.policy.multi_gpu.cross_vendor:
        pools.append(gpus)
    return [*pools, [space for space in ground.usable if not space.device.is_gpu]]


def _splits(ground: Ground, pool: Sequence[Space], size: int) -> Iterator[_Split]:
    """Yield splits over the fastest devices of a pool, with ever more of them."""
    ranked = ground.ranked(pool)
    best, worse = 0.0, 0
    for count in _counts(ground, ranked, size):
        split = _refined(ground, ranked[:count], size)
        if split is not None:
            yield split
            worse = 0 if split.rate > best else worse + 1
            best = max(best, split.rate)
        if worse > _PATIENCE:
            break
    if split := _with_host(ground, ranked, size):
        yield split


def _counts(ground: Ground, ranked: Sequence[Space], size: int) -> range:
    """Return the numbers of stages that are worth trying: from where the model may fit."""
    most = min(len(ranked), ground.layers, _MOST_STAGES)
    if size:
        return range(size, size + 1) if size <= most else range(0)
    if ground.asked.algorithm == "memory_only":
        return range(most, most + 1) if most > 1 else range(0)
    blocks = ground.blocks_bytes
    least, held = 0, 0
    while least < most and held < blocks:
        held += max(0, ground.room(ranked[least]))
        least += 1
    return range(max(2, least), most + 1) if held >= blocks else range(0)


def _refined(ground: Ground, chosen: Sequence[Space], size: int) -> _Split | None:
    """Return a split over ``chosen``, fastest first, or over one device less where that is faster."""
    split = _split(ground, chosen)
    if size or not 2 < len(chosen) <= _SMALL or ground.asked.algorithm == "memory_only":
        return split
    smaller = [_split(ground, [space for space in chosen if space is not left]) for left in chosen]
    found = [candidate for candidate in (split, *smaller) if candidate is not None]
    return max(found, key=lambda candidate: candidate.rate, default=None)


def _split(ground: Ground, chosen: Sequence[Space]) -> _Split | None:
    stages = tuple(reversed(chosen))
    host = ground.host if stages[0].device.is_gpu else None
    team = Team(stages, host, ground.layers, _apportion(ground, stages))
    borders = team.apportion(ground.need, 0, stages)
    if borders[0] == borders[-1]:
        return None
    engine = layer_engine([space.device for space in stages], borders, ground.links, ground.sequences)
    return _Split(team, ground.work.rate(engine, ground.demand.clients) * ground.mixed(stages))


def _with_host(ground: Ground, ranked: Sequence[Space], size: int) -> _Split | None:
    """Return a split in which the CPU has the blocks that GPUs have no room for."""
    host = ground.host
    if not ranked or not ranked[0].device.is_gpu or host is None or host not in ground.usable or size == 1:
        return None
    chosen = ranked[: size - 1 if size else min(len(ranked), ground.layers - 1, _MOST_STAGES)]
    missing = ground.blocks_bytes - sum(max(0, ground.room(space)) for space in chosen)
    if not 0 < missing <= host.free:
        return None
    stages = tuple(reversed(chosen))
    team = Team(stages, host, None, _apportion(ground, stages))
    plan = ground.fit(team)
    return None if plan is None else _Split(team, ground.rate([ground.engine(plan)]) * ground.mixed(stages))


def _apportion(ground: Ground, stages: Sequence[Space]) -> Apportion:
    if ground.asked.algorithm == "memory_only":
        return by_memory
    passage = ground.work.decode(min(ground.demand.clients, ground.sequences))
    return BySpeed(passage, {space.device.id: ground.speed(space) for space in stages})


def _reason(plan: Plan) -> str:
    holders = [share for share in plan.shares if share.layers]
    return "layers " + ", ".join(f"{share.layers} on {share.device}" for share in holders)
