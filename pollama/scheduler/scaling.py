"""Replicas of one model: which of them serves a request, when there shall be one more, and where. Pure.

All replicas of a model are equal: the same context length and the same number of layers on a GPU, each on devices
of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pollama.scheduler.costs import Demand, Work, engine_of
from pollama.scheduler.fitting import Space
from pollama.scheduler.fleet import Fleet
from pollama.scheduler.placement import place_another
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory, holding_devices
from pollama.scheduler.rules import asked
from pollama.scheduler.speeds import NO_LINKS
from pollama.scheduler.state import Replica
from pollama.types.devices import Device
from pollama.types.multigpu import Strategy
from pollama.types.plans import Plan
from pollama.types.ports import LeaseRequest

_REPLICATED: Final[frozenset[Strategy]] = frozenset(("data", "hybrid"))
_WORTH_A_REPLICA: Final = 1.2
"""So many times as fast as without it, and a replica is worth its memory and its load."""


def pick(free: Collection[Replica], request: LeaseRequest, policy: Policy, devices: Sequence[Device]) -> Replica:
    """Return the replica that serves the next request.

    ``round_robin``: the one that was chosen longest ago; ``least_loaded``: the one with fewest requests;
    ``performance_aware``: the one with fewest requests per core, where a GPU counts as one; ``prefix``: the one with
    fewest tokens to compute, those of the prompt that it has seen lately left out. So a known beginning attracts
    requests for as long as it saves more than the others have to do, and not all of them for ever.
    """
    balancing = policy.multi_gpu.load_balancing
    if balancing == "round_robin":
        return min(free, key=lambda replica: replica.last_choice)
    if balancing == "performance_aware":
        cores = {device.id: len(device.cores) for device in devices if not device.is_gpu}
        return min(free, key=lambda replica: (len(replica.leases) + 1) / _strength(replica, cores))
    if balancing == "prefix":
        return min(free, key=lambda replica: (replica.outstanding - _saved(replica, request), len(replica.leases)))
    return min(free, key=lambda replica: len(replica.leases))


def _saved(replica: Replica, request: LeaseRequest) -> int:
    return replica.prefixes.known(request.prefixes)


def _strength(replica: Replica, cores: Mapping[str, int]) -> int:
    return max(1, sum(cores.get(device, 1) for device in holding_devices(replica.plan)))


def most_replicas(lead: Replica, policy: Policy, devices: Iterable[Device]) -> int:
    """Return how many replicas like ``lead`` a model may have: as chosen, or as many as there are devices of its sort.

    A layer split that is not part of a hybrid has the other groups of it beside it, a tensor split nothing.
    """
    if not policy.multi_gpu.enabled or lead.plan.strategy not in _REPLICATED:
        return lead.plan.groups
    on_gpu = lead.plan.gpu_layers > 0
    alike = sum(1 for device in devices if device.is_gpu == on_gpu)
    return asked(lead.model, policy, lead.wish).replicas or alike


def wants_another(group: Sequence[Replica], waiting: int, policy: Policy, devices: Iterable[Device]) -> bool:
    """Tell whether a model with the replicas ``group`` shall have one more.

    Requests wait that the replicas under way have no sequences for, or each is in use and there was a request since the
    last one was added: with the strategies ``data`` and ``hybrid`` and in a split with groups always, with ``auto``
    where the requests of now are predicted to be served faster by one more.
    """
    lead = group[0]
    if len(group) >= most_replicas(lead, policy, devices):
        return False
    under_way = sum(replica.plan.sequences for replica in group if replica.state == "loading")
    early = lead.plan.groups > 1 or asked(lead.model, policy, lead.wish).strategy in _REPLICATED
    return waiting > under_way or (_is_busy(group) and (early or _would_gain(group, policy, devices)))


def _would_gain(group: Sequence[Replica], policy: Policy, devices: Iterable[Device]) -> bool:
    """Tell whether one replica more, as fast as these, would serve the requests of now so much faster that it pays."""
    lead, requests = group[0], sum(len(replica.leases) for replica in group)
    by_id = {device.id: device for device in devices}
    if requests <= len(group) or not by_id.keys() >= set(holding_devices(lead.plan)):
        return False
    work = Work(lead.model, policy.kv_type, Demand(clients=requests))
    engine = engine_of(lead.plan, by_id, NO_LINKS, work.layers)
    now, then = (work.rate_together([engine] * count) for count in (len(group), len(group) + 1))
    return then >= _WORTH_A_REPLICA * now


def _is_busy(group: Sequence[Replica]) -> bool:
    newest = max(replica.last_choice for replica in group) > max(replica.extended_at for replica in group)
    return newest and all(replica.leases and replica.keep_alive > 0 for replica in group)


def plan_another(lead: Replica, fleet: Fleet, memory: Memory, policy: Policy) -> Plan | None:
    """Return a plan for one more replica like ``lead`` on devices that have none of its model.

    None where there is no room, or such a replica would not serve the model.
    """
    alike = [replica.plan for replica in fleet.of(lead.key)]
    spaces = _spaces_without(memory.spaces(replica.plan for replica in fleet), alike)
    plan = place_another(lead.model, lead.options, lead.plan, spaces, policy, wish=lead.wish, known=memory.known)
    return plan if plan is not None and is_as_good(plan, lead.plan) else None


def _spaces_without(spaces: Sequence[Space], plans: Iterable[Plan]) -> list[Space]:
    """Return ``spaces`` with nothing free on the devices that hold blocks of ``plans``, groups of one split apart."""
    occupied = {device for plan in plans if plan.groups == 1 for device in holding_devices(plan)}
    return [replace(space, free=0) if space.device.id in occupied else space for space in spaces]


def is_as_good(plan: Plan, other: Plan) -> bool:
    """Tell whether ``plan`` has the context length of the other one and no fewer layers on GPUs."""
    return plan.context_length == other.context_length and plan.gpu_layers >= other.gpu_layers
