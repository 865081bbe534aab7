"""What all layouts of one planning are made of: the model, the devices with what is free there, and the demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pollama.scheduler.costs import Engine, Work, engine_of
from pollama.scheduler.estimate import Footprint
from pollama.scheduler.fitting import Space, Team, fit, fixed_bytes
from pollama.scheduler.policy import Policy
from pollama.scheduler.rules import Asked
from pollama.scheduler.speeds import Links, Speed, speed_of, watts_of
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import Strategy
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What stays the same in one planning. ``need`` is what one sequence of ``context`` tokens takes."""

    model: Model
    options: Options
    context: int
    policy: Policy
    asked: Asked
    links: Links
    work: Work
    need: Footprint
    devices: Mapping[str, Device]

    @property
    def clients(self) -> int:
        """How many requests there are at once."""
        return self.work.demand.clients

    @property
    def layers(self) -> int:
        """Number of blocks, the output included."""
        return len(self.need.weights)

    @property
    def blocks_bytes(self) -> int:
        """Bytes of all blocks with the cache of one sequence."""
        return sum(self.need.weights) + sum(self.need.kv)

    @property
    def sequences(self) -> int:
        """How many sequences a replica is expected to have."""
        return self.policy.num_parallel or self.policy.max_sequences

    def room(self, space: Space) -> int:
        """Return the bytes of blocks that a stage can hold."""
        return space.free - fixed_bytes(self.need, space)

    def rate_alone(self, space: Space, clients: int) -> float:
        """Return the tokens per second of one device with all layers."""
        return self.work.rate_alone(speed_beside(space), min(clients, self.sequences))

    def fit(self, team: Team) -> Plan | None:
        """Return the plan for a team, or None when it cannot hold the model."""
        return fit(self.model, self.options, self.context, team, self.policy)

    def engine(self, plan: Plan) -> Engine:
        """Return what the cost model sees of a plan."""
        return engine_of(plan, self.devices, self.links, self.layers)

    def rate(self, engines: Sequence[Engine]) -> float:
        """Return the tokens per second of replicas among which the clients are spread evenly, give or take one."""
        least, more = divmod(self.clients, len(engines))
        return sum(self.work.rate(engine, least + (index < more)) for index, engine in enumerate(engines))

    def alternative(self, strategy: Strategy, plans: Sequence[Plan], reason: str = "") -> Alternative:
        """Return a layout with its predictions; that of a single plan is for all its sequences in use.

        Groups of a split follow each other in ``plans``.
        """
        plans = [replace(plan, strategy=strategy) for plan in plans]
        engines = [self.engine(plan) for plan in plans]
        predicted = tuple(
            replace(plan, tokens_per_second=self.work.rate(engine, engine.sequences) / plan.groups)
            for plan, engine in zip(plans, engines, strict=True)
        )
        rate = self.rate(engines[:: plans[0].groups])
        return Alternative(strategy=strategy, plans=predicted, tokens_per_second=rate, reason=reason)

    def watts(self, plans: Iterable[Plan]) -> float:
        """Return what the devices of a layout draw at work."""
        holders = {share.device for plan in plans for share in plan.shares if share.layers}
        return sum(watts_of(self.devices[device]) for device in holders)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where blocks may go: to ``usable`` devices, fastest first. ``hosts`` are the CPU devices that may serve GPUs.

    Layer splits are made of ``groups`` equal ones.
    """

    case: Case
    usable: Sequence[Space]
    hosts: Sequence[Space]
    groups: int = 1

    @property
    def host(self) -> Space | None:
        """The CPU device that serves GPUs: the one with most free memory."""
        return max(self.hosts, key=lambda space: space.free, default=None)

    def without(self, plan: Plan) -> Ground:
        """Return what is left beside a plan, with nothing on the devices that hold its blocks."""
        taken = {share.device: share for share in plan.shares}
        devices = self.case.devices
        on_host = sum(share.total_bytes for share in plan.shares if not devices[share.device].is_gpu)
        usable = [_left(space, taken.get(space.device.id), on_host) for space in self.usable]
        hosts = [_left(space, taken.get(space.device.id), on_host) for space in self.hosts]
        return replace(self, usable=[space for space in usable if space.free > 0], hosts=hosts)

    def in_groups(self, groups: int) -> Ground:
        """Return the CPU devices with the part of their memory that each of ``groups`` on the same devices has."""
        usable = [_part(space, groups) for space in self.usable if not space.device.is_gpu]
        return replace(self, usable=usable, groups=groups)


def speed_beside(space: Space) -> Speed:
    """Return what a device has left for one more replica, if those that it has are busy."""
    speed = speed_of(space.device)
    return speed.times(1 / (1 + space.residents)) if space.residents else speed


def _part(space: Space, groups: int) -> Space:
    return replace(space, free=space.free // groups, pool=None if space.pool is None else space.pool // groups)


def _left(space: Space, share: Share | None, on_host: int) -> Space:
    """Return what a plan leaves of a device of which it takes ``share``, and ``on_host`` of all CPU devices."""
    if share is None and (space.pool is None or not on_host):
        return space
    free = space.free
    if share is not None:
        free = 0 if share.layers else free - share.total_bytes
    if space.pool is None:
        return replace(space, free=free)
    pool = space.pool - on_host
    return replace(space, free=min(free, pool), pool=pool)
