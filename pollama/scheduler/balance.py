"""Where replicas should rather be: because somebody asks, a better plan is known, or a device is too busy.

All of it pure but for ``BusyDevices``, which remembers since when they have been.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.scheduler.corrections import NOTHING, Known
from pollama.scheduler.fitting import Space
from pollama.scheduler.fleet import Fleet
from pollama.scheduler.placement import Refusal, place
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory, holding_devices
from pollama.scheduler.scaling import is_as_good
from pollama.scheduler.state import Replica
from pollama.types.multigpu import Migration
from pollama.types.plans import Plan

_WORTH_MOVING: Final = 1.1
"""Predicted speed over that of today from which on a model is moved."""


@dataclass(frozen=True, slots=True)
class Change:
    """A replica and the plan that takes its place (None: it is not needed any more)."""

    replica: Replica
    plan: Plan | None
    reason: str


def plan_on(
    replica: Replica, devices: Collection[str], spaces: Sequence[Space], policy: Policy, known: Known = NOTHING
) -> Plan | Refusal:
    """Return a plan like that of ``replica`` which holds blocks on ``devices`` only, all of them beside ``spaces``."""
    only = [space if space.device.id in devices else replace(space, free=0) for space in spaces]
    plan = place(replica.model, replica.options, only, policy, wish=replica.wish, known=known)
    if isinstance(plan, Plan) and not is_as_good(plan, replica.plan):
        return Refusal(f"{' and '.join(devices)}: not with a context of {replica.plan.context_length} tokens")
    return plan


def occupied(devices: Sequence[str], moving: Replica, group: Iterable[Replica]) -> str:
    """Return the first of ``devices`` that has a replica of the group for itself, "" for none.

    Where the one that moves is does not count, unless it is to stay just there.
    """
    others = [
        replica for replica in group if replica is not moving or set(holding_devices(moving.plan)) == set(devices)
    ]
    taken = {device for replica in others if replica.plan.groups == 1 for device in holding_devices(replica.plan)}
    return next((device for device in devices if device in taken), "")


def changes_to(group: Sequence[Replica], plans: Sequence[Plan]) -> list[Change]:
    """Return what has to move so that the replicas of a model are where ``plans`` say; nothing where that gains little.

    Replicas that are where a plan has one stay. Plans beyond the number of replicas wait for the demand.
    """
    today = sum(replica.plan.tokens_per_second for replica in group)
    better = sum(plan.tokens_per_second for plan in plans[: len(group)])
    if better < _WORTH_MOVING * today or better <= 0:
        return []
    wanted = list(plans)
    elsewhere = []
    for replica in group:
        same = next((plan for plan in wanted if holding_devices(plan) == holding_devices(replica.plan)), None)
        if same is None:
            elsewhere.append(replica)
        else:
            wanted.remove(same)
    reason = f"{better:.0f} instead of {today:.0f} tokens/s predicted"
    targets: list[Plan | None] = [*wanted, *[None] * len(elsewhere)]
    return [Change(replica, plan, reason) for replica, plan in zip(elsewhere, targets, strict=False)]


def relief(
    device: str,
    movable: Iterable[Replica],
    *,
    fleet: Fleet,
    busy: Mapping[str, float],
    memory: Memory,
    policy: Policy,
) -> Change | None:
    """Return a replica to move away from a busy ``device`` and where to: the least busy device that takes it.

    That is none with a replica of the same model, and none that it was moved away from before: where the replica itself
    is what keeps devices busy, it would go to and fro for ever.
    """
    spaces = memory.spaces(replica.plan for replica in fleet)
    calm = [space for space in spaces if busy.get(space.device.id, 0.0) < policy.multi_gpu.migration.threshold / 2]
    for replica in sorted(movable, key=lambda replica: len(replica.leases)):
        taken = {name for other in fleet.of(replica.key) for name in holding_devices(other.plan)}
        free = [space for space in calm if space.device.id not in taken | replica.left_devices]
        for space in sorted(free, key=lambda space: (busy.get(space.device.id, 0.0), -space.free)):
            plan = plan_on(replica, [space.device.id], spaces, policy, memory.known)
            if isinstance(plan, Plan):
                return Change(replica, plan, f"{device} is {busy[device]:.0%} busy")
    return None


_USUAL_PAUSE: Final = 5.0
"""Seconds between two readings that say what was in between, however short the cooldown is."""


class BusyDevices:
    """Which devices are busier than the threshold, and since when. Times are monotonic seconds.

    ``shares`` is how busy each was at the last reading, 0 to 1.
    """

    def __init__(self) -> None:
        self.shares: Mapping[str, float] = {}
        self._since: dict[str, float] = {}
        self._measured_at = float("-inf")
        self._relieved_at = float("-inf")

    def measured(self, busy: Mapping[str, float], settings: Migration, now: float) -> None:
        """Take in the busy share of each device; what was known before a long pause does not count any more."""
        if now - self._measured_at > max(settings.cooldown, _USUAL_PAUSE):
            self._since = {}
        self.shares, self._measured_at = busy, now
        hot = {device for device, share in busy.items() if share > settings.threshold}
        self._since = {device: self._since.get(device, now) for device in hot}

    def overloaded(self, settings: Migration, now: float) -> list[str]:
        """Return the devices that have been too busy for a cooldown, busiest first; none within one of a relief."""
        if not settings.enabled or now - self._relieved_at < settings.cooldown:
            return []
        hot = [device for device, since in self._since.items() if now - since >= settings.cooldown]
        return sorted(hot, key=lambda device: -self.shares[device])

    def relieved(self, now: float) -> None:
        """Begin a cooldown."""
        self._relieved_at = now
