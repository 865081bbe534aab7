"""The layout ``data``: replicas, each alone on one device. Pure.

Of so many devices, the fastest at their part of the load are taken; and as many as serve the clients fastest. Requests
are spread evenly, so a device that is very much slower than the others takes more from them than it gives: it is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pollama.scheduler.fitting import Space, Team
from pollama.scheduler.ground import TOO_SLOW, Case, Ground, left_out
from pollama.types.plans import Alternative, Plan

_CANDIDATES: Final = 4
"""For each replica, so many devices are looked at more closely."""


def replicas(ground: Ground) -> Alternative | None:
    """Return the best set of replicas, or None where the model fits no single device."""
    case = ground.case
    able = _able(ground)
    most = min(len(able), case.asked.replicas or len(able), case.clients)
    chosen = able[:most] if case.asked.algorithm == "memory_only" else _fastest(case, able[: _CANDIDATES * most], most)
    spare = [space for space in able if space not in chosen] if len(able) <= _CANDIDATES * most else []
    plans = list(_plans(ground, [*chosen, *spare], len(chosen)))
    return case.alternative("data", plans, _reason(plans, able)) if plans else None


def one_replica(ground: Ground) -> Plan | None:
    """Return a plan for the best single device that the model fits, or None."""
    return next(_plans(ground, _able(ground), 1), None)


def _able(ground: Ground) -> list[Space]:
    """Return the devices that all blocks fit on as far as a glance can tell, best first."""
    blocks = ground.case.blocks_bytes
    able = [space for space in ground.usable if blocks <= ground.case.room(space)]
    return sorted(able, key=_by_memory) if ground.case.asked.algorithm == "memory_only" else able


def _fastest(case: Case, able: Sequence[Space], most: int) -> list[Space]:
    """Return the set of up to ``most`` devices that is worth most."""
    sets = [chosen for count in range(1, most + 1) if (chosen := _fastest_set(case, able, count))]
    return max(sets, key=lambda chosen: (_worth(case, chosen), -len(chosen)), default=[])


def _fastest_set(case: Case, able: Sequence[Space], count: int) -> list[Space]:
    """Return the best ``count`` devices of which none is too slow to stand beside the others; [] for none."""
    part = -(-case.clients // count)
    rates = {space.device.id: case.rate_alone(space, part) for space in able}
    order = sorted(able, key=lambda space: -case.worth(rates[space.device.id], [space.device]))
    for begin in range(len(order) - count + 1):
        chosen = order[begin : begin + count]
        speeds = [rates[space.device.id] for space in chosen]
        if min(speeds) >= TOO_SLOW * max(speeds):
            return chosen
    return []


def _worth(case: Case, chosen: Sequence[Space]) -> float:
    least, more = divmod(case.clients, len(chosen))
    rate = sum(case.rate_alone(space, least + (index < more)) for index, space in enumerate(chosen))
    return case.worth(rate, [space.device for space in chosen])


def _plans(ground: Ground, order: Sequence[Space], count: int) -> Iterator[Plan]:
    """Yield plans for the first ``count`` devices that the model really fits, beside each other."""
    for chosen in order:
        if count == 0:
            break
        space = next((space for space in ground.usable if space.device.id == chosen.device.id), None)
        plan = None if space is None else _alone(ground, space)
        if plan is not None:
            yield plan
            count -= 1
            ground = ground.without(plan)


def _alone(ground: Ground, space: Space) -> Plan | None:
    team = Team((space,), ground.host, ground.case.layers) if space.device.is_gpu else Team((), space, 0)
    return ground.case.fit(team)


def _by_memory(space: Space) -> tuple[bool, bool, int, int]:
    """Order devices as they are without speed: GPUs, discrete ones first, then CPU devices with fewest replicas."""
    cpu = not space.device.is_gpu
    return cpu, space.device.integrated, space.residents if cpu else 0, -space.free


def _reason(plans: Sequence[Plan], able: Sequence[Space]) -> str:
    what = "one device" if len(plans) == 1 else f"{len(plans)} replicas, each on a device of its own"
    return what + left_out(plans, able)
