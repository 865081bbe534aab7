"""What all layouts of one planning are made of: the model, the devices with what is free there, and the demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.scheduler.capacity import shapes
from pollama.scheduler.corrections import Known
from pollama.scheduler.costs import Engine, Work, beside_front, engine_of, layer_engine
from pollama.scheduler.estimate import CacheShape, Footprint, generates
from pollama.scheduler.fitting import Space, Team, fit, fixed_bytes, free_bytes
from pollama.scheduler.policy import Policy
from pollama.scheduler.rules import Asked
from pollama.scheduler.speeds import Speed, speed_of, watts_of
from pollama.scheduler.state import model_key
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import Strategy
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan, Share

_NAMED: Final = 4
"""More devices than these are counted and not named."""
TOO_SLOW: Final = 0.15
"""A device that does less than this share of what another one does gets no replica beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What stays the same in one planning.

    ``need`` is what one sequence with the cache ``base`` takes, ``sequence_bytes`` what another one does.
    """

    model: Model
    options: Options
    context: int
    policy: Policy
    asked: Asked
    known: Known
    work: Work
    base: CacheShape
    need: Footprint
    sequence_bytes: int
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
        """How many sequences a replica may have."""
        return self.policy.num_parallel or self.policy.max_sequences

    def sequences_in(self, spaces: Sequence[Space]) -> int:
        """Return how many sequences a replica on these devices is expected to have memory for."""
        wanted = shapes(
            self.base,
            self.policy,
            generating=generates(self.model),
            headroom=free_bytes(spaces) - self.need.total,
            sequence_bytes=self.sequence_bytes,
            weight_bytes=sum(self.need.weights),
        )
        return next(wanted).sequences

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
        holders = [self.devices[share.device] for share in plan.shares if share.layers]
        engine = self._slowed(engine_of(plan, self.devices, self.known.links, self.layers), holders)
        return _times(engine, self._correction(plan))

    def _correction(self, plan: Plan) -> float:
        """Return what the predicted speed of a plan has to be multiplied with by what ran."""
        corrects = self.policy.multi_gpu.corrections
        return self.known.corrections.factor(model_key(self.model), plan) if corrects else 1.0

    def split_engine(self, stages: Sequence[Space], borders: Sequence[int], groups: int) -> Engine:
        """Return what the cost model sees of a layer split."""
        devices, sequences = [space.device for space in stages], groups * self.sequences_in(stages)
        return self._slowed(layer_engine(devices, borders, self.known.links, sequences, groups), devices)

    def _slowed(self, engine: Engine, devices: Iterable[Device]) -> Engine:
        """Return an engine as fast as it is taken to be when it mixes kinds of GPU."""
        overhead = self.policy.multi_gpu.coordination_overhead
        if not overhead or len({device.kind for device in devices if device.is_gpu}) < 2:
            return engine
        return _times(engine, 1 - overhead)

    def alternative(self, strategy: Strategy, plans: Sequence[Plan], reason: str = "") -> Alternative:
        """Return a layout with its predictions; that of a single plan is for all its sequences in use.

        Groups of a split follow each other in ``plans``.
        """
        plans = [replace(plan, strategy=strategy) for plan in plans]
        engines = beside_front(plans, [self.engine(plan) for plan in plans], self.devices)
        predicted = tuple(
            replace(plan, tokens_per_second=self.work.rate(engine, engine.sequences) / plan.groups)
            for plan, engine in zip(plans, engines, strict=True)
        )
        rate = self.work.rate_together(engines[:: plans[0].groups])
        return Alternative(strategy=strategy, plans=predicted, tokens_per_second=rate, reason=reason)

    def worth(self, rate: float, devices: Iterable[Device]) -> float:
        """Return what is to be as large as can be: tokens per second, or per joule of the devices at work."""
        return rate / sum(map(watts_of, devices)) if self.asked.algorithm == "power_aware" else rate

    def worth_of(self, layout: Alternative) -> float:
        """Return what a layout is worth."""
        holders = {share.device for plan in layout.plans for share in plan.shares if share.layers}
        return self.worth(layout.tokens_per_second, [self.devices[device] for device in sorted(holders)])


@dataclass(frozen=True, slots=True)
class Ground:
    """Where blocks may go: to ``usable`` devices, the most worthy first. ``hosts`` are the CPU devices beside GPUs.

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
    return shared(speed_of(space.device), space)


def shared(speed: Speed, space: Space) -> Speed:
    """Return what one more replica on a device has of ``speed``, if those that are there are busy."""
    return speed.times(1 / (1 + space.residents)) if space.residents else speed


def _times(engine: Engine, factor: float) -> Engine:
    if factor == 1.0:
        return engine
    return replace(engine, stages=tuple(replace(stage, speed=stage.speed.times(factor)) for stage in engine.stages))


def left_out(plans: Iterable[Plan], able: Iterable[Space]) -> str:
    """Return which devices a layout does without though it could have used them, as the end of a reason."""
    chosen = {share.device for plan in plans for share in plan.shares if share.layers}
    left = [space.device.id for space in able if space.device.id not in chosen]
    if not left:
        return ""
    names = ", ".join(left) if len(left) <= _NAMED else f"{len(left)} devices"
    return f"; {names} left out: no faster with more"


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
