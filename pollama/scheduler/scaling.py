"""Replicas of one model: which of them serves a request, when there shall be one more, and where. Pure.

All replicas of a model are equal: the same context length and the same number of layers on a GPU, each on a device
of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pollama.scheduler.fitting import Space
from pollama.scheduler.placement import Refusal, place
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import holding_devices
from pollama.scheduler.state import Replica
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.options import Options
from pollama.types.plans import Plan
from pollama.types.ports import LeaseRequest


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


def most_replicas(plan: Plan, policy: Policy, devices: Iterable[Device]) -> int:
    """Return how many replicas a model loaded by ``plan`` may have: as chosen, or one per device of its sort."""
    if not policy.multi_gpu.enabled:
        return 1
    on_gpu = plan.gpu_layers > 0
    return policy.multi_gpu.replicas or sum(1 for device in devices if device.is_gpu == on_gpu)


def wants_another(group: Sequence[Replica], waiting: int, policy: Policy, devices: Iterable[Device]) -> bool:
    """Tell whether a model with the replicas ``group`` shall have one more.

    Requests wait that the replicas under way have no sequences for, or with the strategy ``data`` each is in use and
    there was a request since the last one was added.
    """
    if len(group) >= most_replicas(group[0].plan, policy, devices):
        return False
    under_way = sum(replica.plan.sequences for replica in group if replica.state == "loading")
    return waiting > under_way or (policy.multi_gpu.strategy == "data" and _is_busy(group))


def _is_busy(group: Sequence[Replica]) -> bool:
    newest = max(replica.last_choice for replica in group) > max(replica.extended_at for replica in group)
    return newest and all(replica.leases and replica.keep_alive > 0 for replica in group)


def spaces_without(spaces: Sequence[Space], plans: Iterable[Plan]) -> list[Space]:
    """Return ``spaces`` with nothing free on the devices that hold blocks of ``plans``."""
    occupied = {device for plan in plans for device in holding_devices(plan)}
    return [replace(space, free=0) if space.device.id in occupied else space for space in spaces]


def plan_another(model: Model, options: Options, like: Plan, spaces: Sequence[Space], policy: Policy) -> Plan | None:
    """Return a plan for one more replica ``like`` the first in ``spaces``, or None."""
    plan = place(model, options, spaces, policy)
    if isinstance(plan, Refusal) or not plan.split == like.split == "none":
        return None
    return plan if is_as_good(plan, like) else None


def is_as_good(plan: Plan, other: Plan) -> bool:
    """Tell whether ``plan`` has the context length of the other one and no fewer layers on GPUs."""
    return plan.context_length == other.context_length and plan.gpu_layers >= other.gpu_layers
