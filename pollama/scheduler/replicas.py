"""The layout ``data``: replicas, each alone on one device. Pure.

Of so many devices, the fastest at their part of the load are taken; and as many as serve the clients fastest. One that
is so slow that requests on it cost more than it takes off the others is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pollama.scheduler.fitting import Space, Team
from pollama.scheduler.ground import Ground
from pollama.types.plans import Alternative, Plan

_CANDIDATES: Final = 4
"""For each replica, so many devices are looked at more closely."""


def replicas(ground: Ground) -> Alternative | None:
    """Return the best set of replicas, or None where the model fits no single device."""
    able = [space for space in ground.usable if ground.may_hold(space)]
    most = min(len(able), ground.asked.replicas or len(able), ground.demand.clients)
    ranked = _ranked(ground, able, ground.demand.clients)[: _CANDIDATES * most]
    sets = [_ranked(ground, ranked, -(-ground.demand.clients // count))[:count] for count in range(1, most + 1)]
    best = max(sets, key=lambda chosen: (_rate(ground, chosen), -len(chosen)), default=[])
    plans = list(_plans(ground, [*best, *(space for space in ranked if space not in best)], len(best)))
    return ground.alternative("data", plans, _reason(plans)) if plans else None


def one_replica(ground: Ground) -> Plan | None:
    """Return a plan for the best single device that the model fits, or None."""
    able = [space for space in ground.usable if ground.may_hold(space)]
    return next(_plans(ground, _ranked(ground, able, ground.demand.clients), 1), None)


def _alone(ground: Ground, space: Space) -> Plan | None:
    team = Team((space,), ground.host, ground.layers) if space.device.is_gpu else Team((), space, 0)
    return ground.fit(team)


def _plans(ground: Ground, order: Sequence[Space], count: int) -> Iterator[Plan]:
    """Yield plans for the first ``count`` devices that the model really fits, beside each other."""
    for chosen in order:
        plan = _alone(ground, ground.space(chosen.device.id)) if count else None
        if plan is not None:
            yield plan
            count -= 1
            ground = ground.without(plan)


def _ranked(ground: Ground, able: Sequence[Space], clients: int) -> list[Space]:
    """Return devices by what they do for so many clients, faster ones first; among equals those with most room."""
    if ground.asked.algorithm == "memory_only":
        return sorted(able, key=_by_memory)
    rates = {space.device.id: ground.work.rate(ground.engine_of(space), clients) for space in able}
    return sorted(able, key=lambda space: (-rates[space.device.id], -space.free, space.device.id))


def _by_memory(space: Space) -> tuple[bool, bool, int, int]:
    """Order devices as they are without speed: GPUs, discrete ones first, then CPU devices with fewest replicas."""
    cpu = not space.device.is_gpu
    return cpu, space.device.integrated, space.residents if cpu else 0, -space.free


def _rate(ground: Ground, chosen: Sequence[Space]) -> float:
    return ground.rate([ground.engine_of(space) for space in chosen])


def _reason(plans: Sequence[Plan]) -> str:
    return "one device" if len(plans) == 1 else f"{len(plans)} replicas, each on a device of its own"
