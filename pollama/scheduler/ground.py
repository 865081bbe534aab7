"""What all layouts of one planning are made of: the model, the devices with what is free there, and the demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pollama.scheduler.capacity import DEFAULT_BATCH, single
from pollama.scheduler.costs import Demand, Engine, Stage, Work, engine_of
from pollama.scheduler.estimate import Footprint, footprint
from pollama.scheduler.fitting import Space, Team, fit, fixed_bytes
from pollama.scheduler.policy import Policy
from pollama.scheduler.rules import Asked
from pollama.scheduler.speeds import Links, Speed, speed_of, watts_of
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import Strategy
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan, Share

_DEFAULT_SEQUENCES = 16


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The arguments of one planning, for one context length; blocks go to ``usable`` ones of the ``spaces`` only."""

    model: Model
    options: Options
    context: int
    policy: Policy
    asked: Asked
    spaces: Sequence[Space]
    usable: Sequence[Space]
    links: Links
    demand: Demand

    @cached_property
    def host(self) -> Space | None:
        """The CPU device that serves GPUs: the one with most free memory."""
        return max((space for space in self.spaces if not space.device.is_gpu), key=lambda it: it.free, default=None)

    @cached_property
    def work(self) -> Work:
        """What the model has to compute."""
        return Work(self.model, self.policy.kv_type, self.demand)

    @cached_property
    def need(self) -> Footprint:
        """What one sequence takes."""
        flash = self.policy.flash_attention is not False
        return footprint(self.model, single(self.context, DEFAULT_BATCH), self.policy.kv_type, flash_attention=flash)

    @property
    def layers(self) -> int:
        """Number of blocks, the output included."""
        return len(self.need.weights)

    @property
    def sequences(self) -> int:
        """How many sequences a replica is expected to have."""
        return self.policy.num_parallel or _DEFAULT_SEQUENCES

    def speed(self, space: Space) -> Speed:
        """Return what a device has left for one more replica, if those that it has are busy."""
        return speed_of(space.device).times(1 / (1 + space.residents))

    def room(self, space: Space) -> int:
        """Return the bytes of blocks that a stage can hold."""
        return space.free - fixed_bytes(self.need, space)

    def may_hold(self, space: Space) -> bool:
        """Tell whether all blocks fit on a device, as far as a glance can tell."""
        return self.blocks_bytes <= self.room(space)

    @cached_property
    def blocks_bytes(self) -> int:
        """Bytes of all blocks with the cache of one sequence."""
        return sum(self.need.weights) + sum(self.need.kv)

    def space(self, device: str) -> Space:
        """Return what is free on a device."""
        return next(space for space in self.spaces if space.device.id == device)

    def ranked(self, spaces: Sequence[Space]) -> list[Space]:
        """Return devices by how fast each alone would be for all clients, faster ones first, then those with room."""
        rates = {space.device.id: self.work.rate(self.engine_of(space), self.demand.clients) for space in spaces}
        return sorted(spaces, key=lambda space: (-rates[space.device.id], -space.free, space.device.id))

    def engine_of(self, space: Space) -> Engine:
        """Return one device with all layers, slowed down by what else is on it."""
        return Engine((Stage(self.speed(space), 0, self.layers),), sequences=self.sequences)

    def mixed(self, spaces: Iterable[Space]) -> float:
        """Return the share of its speed that a split keeps which may be over several kinds of GPU."""
        kinds = {space.device.kind for space in spaces if space.device.is_gpu}
        return 1.0 if len(kinds) < 2 else 1 - self.policy.multi_gpu.coordination_overhead

    def fit(self, team: Team) -> Plan | None:
        """Return the plan for a team, or None when it cannot hold the model."""
        return fit(self.model, self.options, self.context, team, self.policy)

    def without(self, plan: Plan) -> Ground:
        """Return what is left beside a plan, with nothing on the devices that hold its blocks."""
        taken = {share.device: share for share in plan.shares}
        on_host = sum(share.total_bytes for share in plan.shares if not self.devices[share.device].is_gpu)
        spaces = {space.device.id: _left(space, taken.get(space.device.id), on_host) for space in self.spaces}
        left = [spaces[space.device.id] for space in self.usable]
        return replace(self, spaces=list(spaces.values()), usable=[space for space in left if space.free > 0])

    @cached_property
    def devices(self) -> dict[str, Device]:
        """All devices by id."""
        return {space.device.id: space.device for space in self.spaces}

    def engine(self, plan: Plan) -> Engine:
        """Return what the cost model sees of a plan."""
        return engine_of(plan, self.devices, self.links, self.layers)

    def rate(self, engines: Sequence[Engine]) -> float:
        """Return the tokens per second of replicas among which the clients of the demand are spread evenly."""
        return sum(self.work.rate(engine, clients) for engine, clients in spread(engines, self.demand.clients))

    def alternative(self, strategy: Strategy, plans: Sequence[Plan], reason: str = "") -> Alternative:
        """Return a layout with its predictions; that of a single plan is for all its sequences in use."""
        engines = [self.engine(plan) for plan in plans]
        predicted = tuple(
            replace(
                plan,
                strategy=strategy,
                tokens_per_second=self.work.rate(engine, plan.sequences),
            )
            for plan, engine in zip(plans, engines, strict=True)
        )
        return Alternative(strategy=strategy, plans=predicted, tokens_per_second=self.rate(engines), reason=reason)

    def watts(self, plans: Iterable[Plan]) -> float:
        """Return what the devices of a layout draw at work."""
        holders = {share.device for plan in plans for share in plan.shares if share.layers}
        return sum(watts_of(self.devices[device]) for device in holders)


def spread(engines: Sequence[Engine], clients: int) -> list[tuple[Engine, int]]:
    """Return how many of ``clients`` use each replica when each has as many, give or take one."""
    least, more = divmod(clients, len(engines))
    return [(engine, least + (index < more)) for index, engine in enumerate(engines)]


def _left(space: Space, share: Share | None, on_host: int) -> Space:
    """Return what a plan leaves of a device of which it takes ``share``, and ``on_host`` of all CPU devices."""
    free = space.free
    if share is not None:
        free = 0 if share.layers else free - share.total_bytes
    if space.pool is None:
        return replace(space, free=free)
    pool = space.pool - on_host
    return replace(space, free=min(free, pool), pool=pool)
