"""What a layout of a model is expected to do, in tokens per second. Pure arithmetic.

A stage takes for one pass as long as its device needs to read its bytes and for the operations, which a GPU does at the
same time. A layer split with one batch under way takes the sum of its stages and of the ways between them; with as many
groups of sequences under way as there are stages, as long as its slowest stage for every group. Replicas add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

from pollama.scheduler.estimate import CacheShape, generates, is_tied, kv_bytes
from pollama.scheduler.speeds import CORE_SYNC, Border, Links, Speed, in_parts, joined, speed_in_worker, speed_of
from pollama.types.devices import Device
from pollama.types.model import Model, ModelSpec
from pollama.types.plans import Plan, Share

EXPECTED_CLIENTS: Final = 16
_STEP_SECONDS: Final = 5e-4
"""What a step costs beside the engine's work: sampling, handing out tokens."""
_FRONT_OF_TOKEN: Final = 4.5e-4
_FRONT_OF_STEP: Final = 1.5e-3
"""Seconds per token, and per step of an engine whose threads wait for each other, that an engine loses where HTTP and
clients have no core but its own: what the 60M model took longer over HTTP with 1, 4 and 16 clients than by itself."""
FILLED_SHARE: Final = 0.85
"""Of what groups on the same stages could do if they never got in each other's way, what they were measured to do."""
_MEETINGS: Final = 2
"""How often the devices of a tensor split meet in each layer."""
_ACTIVATION_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The load that a layout is chosen for: ``clients`` that always have one request, of so many tokens each."""

    clients: int = EXPECTED_CLIENTS
    prompt: int = 256
    answer: int = 256


@dataclass(frozen=True, slots=True)
class Passage:
    """One pass of a batch through a model: bytes read and operations up to each block, and bytes between stages."""

    read: tuple[float, ...]
    operations: tuple[float, ...]
    activations: float

    def seconds(self, speed: Speed, begin: int, end: int) -> float:
        """Return how long the blocks from ``begin`` to before ``end`` take."""
        return speed.seconds(self.read[end] - self.read[begin], self.operations[end] - self.operations[begin])


@dataclass(frozen=True, slots=True)
class Stage:
    """A device, or several that work on the same layers, with the blocks that it has."""

    speed: Speed
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Engine:
    """One replica as the cost model sees it.

    ``sync`` is seconds per layer and pass in which cores wait for each other, ``meetings`` the ways over which GPUs
    exchange their results in each layer; ``groups`` is how many batches are under way at once. ``step_loss`` and
    ``token_loss`` are seconds in which others have its cores, per step and per token.
    """

    stages: tuple[Stage, ...]
    borders: tuple[Border, ...] = ()
    sequences: int = EXPECTED_CLIENTS
    sync: float = 0.0
    meetings: tuple[Border, ...] = ()
    groups: int = 1
    step_loss: float = 0.0
    token_loss: float = 0.0


class Work:
    """What a model has to read and compute under a demand."""

    def __init__(self, model: Model, kv_type: str, demand: Demand) -> None:
        spec = model.stored.spec
        if spec is None:
            raise ValueError(f"{model.stored.short_name} has no weights")
        self.demand = demand
        self._spec = spec
        self._weights = (*spec.layer_bytes, spec.output_bytes + (spec.input_bytes if _copies(model, spec) else 0))
        self._experts = (*(spec.expert_bytes or (0,) * spec.layer_count), 0)
        self._per_byte = spec.parameter_count / max(1, spec.weight_bytes)
        self._cached = _cached_tokens(spec, demand)
        self._kv_row = tuple(size / self._cached for size in _kv_of(spec, kv_type, self._cached))
        self._passages: dict[int, Passage] = {}

    @property
    def layers(self) -> int:
        """Number of blocks, the output included."""
        return len(self._weights)

    def decode(self, sequences: int) -> Passage:
        """Return one step of ``sequences``, each with half of its answer written."""
        if sequences not in self._passages:
            self._passages[sequences] = self._passage(sequences, sequences, self._cached)
        return self._passages[sequences]

    @cached_property
    def prefill(self) -> Passage:
        """The prompt of one request."""
        return self._passage(max(1, self.demand.prompt), 1, 1)

    def rate(self, engine: Engine, clients: int) -> float:
        """Return the tokens per second that ``clients`` get of a replica; who finds no free sequence waits."""
        running = min(clients, engine.sequences)
        if running < 1:
            return 0.0
        answers = self.demand.answer * self.step_seconds(engine, running) / running
        return self.demand.answer / (answers + self._prompt_seconds(engine))

    def rate_together(self, engines: Sequence[Engine]) -> float:
        """Return the tokens per second of replicas among which the clients are spread evenly, give or take one."""
        least, more = divmod(self.demand.clients, len(engines))
        return sum(self.rate(engine, least + (index < more)) for index, engine in enumerate(engines))

    def rate_alone(self, speed: Speed, clients: int) -> float:
        """Return the tokens per second that ``clients`` get of one device with all layers."""
        step, prompt = self.decode(clients), self.prefill
        answers = self.demand.answer * (speed.seconds(step.read[-1], step.operations[-1]) + _STEP_SECONDS) / clients
        prompts = speed.seconds(prompt.read[-1], prompt.operations[-1]) if self.demand.prompt else 0.0
        return self.demand.answer / (answers + prompts)

    def step_seconds(self, engine: Engine, sequences: int) -> float:
        """Return the time in which each of ``sequences`` gets one more token."""
        groups = min(engine.groups, sequences)
        passage = self.decode(-(-sequences // groups))
        alone = self._through(engine, passage)
        together = max(alone, groups * _slowest(engine, passage))
        loss = engine.step_loss + engine.token_loss * sequences
        return _STEP_SECONDS + loss + (together / FILLED_SHARE if groups > 1 else alone)

    def busy_seconds(self, engine: Engine, *, steps: int, decoded: int, prefilled: int) -> float:
        """Return how long an engine computes in so many steps, for so many tokens of answers and of prompts."""
        answers = steps * self._through(engine, self.decode(max(1, round(decoded / max(1, steps)))))
        return answers + prefilled / self.demand.prompt * self._through(engine, self.prefill)

    def _prompt_seconds(self, engine: Engine) -> float:
        return self._through(engine, self.prefill) if self.demand.prompt else 0.0

    def _through(self, engine: Engine, passage: Passage) -> float:
        stages = sum(passage.seconds(stage.speed, stage.begin, stage.end) for stage in engine.stages)
        borders = sum(border.seconds(passage.activations) for border in engine.borders)
        meetings = _MEETINGS * sum(border.seconds(passage.activations) for border in engine.meetings)
        return stages + borders + (engine.sync + meetings) * len(self._weights)

    def _passage(self, rows: int, outputs: int, cached: float) -> Passage:
        spread = _spread(self._spec, rows)
        read = [
            weights - experts * (1 - spread) + rows * cached * row
            for weights, experts, row in zip(self._weights, self._experts, self._kv_row, strict=True)
        ]
        used = _spread(self._spec, 1)
        counts = [rows] * (len(self._weights) - 1) + [outputs]
        operations = [
            2 * count * self._per_byte * (weights - experts * (1 - used))
            for weights, experts, count in zip(self._weights, self._experts, counts, strict=True)
        ]
        size = rows * self._spec.embedding_length * _ACTIVATION_BYTES
        return Passage(tuple(accumulate(read, initial=0.0)), tuple(accumulate(operations, initial=0.0)), size)


def engine_of(plan: Plan, devices: Mapping[str, Device], links: Links, layers: int) -> Engine:
    """Return what the cost model sees of a plan for a model with ``layers`` blocks, the output included.

    Raises KeyError for a device that is not in ``devices``.
    """
    holders = [(devices[share.device], share) for share in plan.shares if share.layers]
    if plan.split == "tensor":
        return tensor_engine([device for device, _ in holders], _parts(holders), links, layers, plan.sequences)
    holders.sort(key=lambda holder: holder[0].is_gpu)  # beside GPUs, the CPU has the first blocks
    ends = list(accumulate((share.layers for _, share in holders), initial=0))
    return layer_engine([device for device, _ in holders], ends, links, plan.sequences * plan.groups, plan.groups)


def beside_front(plans: Sequence[Plan], engines: Sequence[Engine], devices: Mapping[str, Device]) -> list[Engine]:
    """Return the ``engines`` of the plans of a layout, slower where these leave no core for HTTP and clients."""
    holders = {share.device for plan in plans for share in plan.shares if share.layers}
    cores = {device.id for device in devices.values() if not device.is_gpu}
    if not cores or not cores <= holders:
        return list(engines)
    return [
        replace(
            engine,
            step_loss=_FRONT_OF_STEP if plan.split == "tensor" and not plan.gpu_layers else 0.0,
            token_loss=_FRONT_OF_TOKEN,
        )
        for plan, engine in zip(plans, engines, strict=True)
    ]


def layer_engine(
    devices: Sequence[Device], borders: Sequence[int], links: Links, sequences: int, groups: int = 1
) -> Engine:
    """Return a layer split, all of its groups: each device has the blocks from its border to the next one."""
    spans = zip(devices, pairwise(borders), strict=True)
    return Engine(
        stages=tuple(Stage(stage_speed(device, devices), begin, end) for device, (begin, end) in spans),
        borders=tuple(links.border(first, second) for first, second in pairwise(devices)),
        sequences=sequences,
        groups=groups,
    )


def tensor_engine(
    devices: Sequence[Device], parts: Sequence[float], links: Links, layers: int, sequences: int
) -> Engine:
    """Return devices that have ``parts`` (together 1) of every layer: GPUs, or CPU devices joined to one."""
    if not devices[0].is_gpu:
        return Engine((Stage(joined(devices), 0, layers),), sequences=sequences, sync=CORE_SYNC)
    meetings = tuple(links.border(first, second) for first, second in pairwise(devices))
    return Engine((Stage(in_parts(devices, parts), 0, layers),), sequences=sequences, meetings=meetings)


def stage_speed(device: Device, devices: Sequence[Device]) -> Speed:
    """Return the speed of a stage: less in a process of its own than in the runner's.

    The runner itself has the first CPU device, and the GPUs that are of the kind of the first one.
    """
    first = next(other for other in devices if other.is_gpu == device.is_gpu)
    own = device.kind == first.kind if device.is_gpu else device is first
    return speed_of(device) if own else speed_in_worker(device)


def _parts(holders: Sequence[tuple[Device, Share]]) -> list[float]:
    total = sum(share.weight_bytes for _, share in holders)
    return [share.weight_bytes / total for _, share in holders]


def _slowest(engine: Engine, passage: Passage) -> float:
    return max(passage.seconds(stage.speed, stage.begin, stage.end) for stage in engine.stages)


def _copies(model: Model, spec: ModelSpec) -> bool:
    """Tell whether the embedding is read as a whole for every token, because it is the output matrix as well."""
    return generates(model) and is_tied(spec)


def _cached_tokens(spec: ModelSpec, demand: Demand) -> int:
    """Return the tokens of a sequence in the middle of its answer."""
    return max(1, min(demand.prompt + demand.answer // 2, spec.context_length or demand.prompt))


def _kv_of(spec: ModelSpec, kv_type: str, tokens: int) -> tuple[int, ...]:
    shape = CacheShape(context_length=tokens, sequences=1, shared_cells=False, cells=tokens, batch=1)
    return (*kv_bytes(spec, shape, kv_type), 0)


def _spread(spec: ModelSpec, rows: int) -> float:
    """Return the expected share of a block's experts that ``rows`` tokens use together."""
    if not spec.expert_count:
        return 1.0
    return 1 - (1 - min(1.0, spec.expert_used_count / spec.expert_count)) ** rows
