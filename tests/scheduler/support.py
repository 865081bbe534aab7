"""Builders and stand-ins for the scheduler's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from pollama.scheduler import events
from pollama.scheduler.core import Core
from pollama.scheduler.events import Command, Event
from pollama.scheduler.policy import GIB, MIB, Policy
from pollama.scheduler.state import Replica
from pollama.types.devices import Device
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, RunnerInfo, RunnerStatus
from pollama.types.json import Json
from pollama.types.model import Model, ModelConfig, ModelSpec, PromptTraits, StoredModel
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan
from pollama.types.ports import LeaseRequest

TIGHT = Policy(gpu_margin=0, host_margin=0, num_parallel=1, max_loaded=8)
"""One sequence per replica and every byte usable: small numbers for scenarios."""


def make_spec(
    *, layers: int = 8, layer_bytes: int = 64 * MIB, context_length: int = 4096, recurrent: bool = False
) -> ModelSpec:
    return ModelSpec(
        architecture="llama",
        parameter_count=1_000_000,
        file_type="Q4_0",
        file_bytes=layers * layer_bytes + 128 * MIB,
        layer_bytes=(layer_bytes,) * layers,
        input_bytes=64 * MIB,
        output_bytes=64 * MIB,
        context_length=context_length,
        embedding_length=512,
        feed_forward_length=1024,
        vocabulary_length=4096,
        head_count=8,
        head_count_kv=(8,) * layers,
        key_length=64,
        value_length=64,
        recurrent=recurrent,
    )


def make_model(
    name: str = "a",
    *,
    spec: ModelSpec | None = None,
    capabilities: tuple[str, ...] = ("completion",),
    weights: str = "",
) -> Model:
    spec = spec or make_spec()
    stored = StoredModel(
        name=f"registry.ollama.ai/library/{name}:latest",
        short_name=f"{name}:latest",
        digest="0" * 64,
        size=spec.file_bytes,
        modified_at=0.0,
        config=ModelConfig(),
        spec=spec,
        weights=Path("/models") / (weights or name),
    )
    traits = PromptTraits(mode="native", selected="", capabilities=capabilities, listed_capabilities=capabilities)
    return Model(stored=stored, traits=traits)


def make_options(**values: Json) -> Options:
    return Options().updated(values)


def wish(model: Model, *, keep_alive: float | None = None, client: str = "", **options: Json) -> LeaseRequest:
    return LeaseRequest(model=model, options=make_options(**options), keep_alive=keep_alive, client=client)


def cpu(
    gib: float = 16,
    *,
    free: float | None = None,
    name: str = "cpu",
    limit: float | None = None,
    cores: tuple[int, ...] = (0, 1),
) -> Device:
    total = int(gib * GIB)
    return Device(
        id=name,
        kind="cpu",
        name=name,
        total_bytes=total,
        free_bytes=total if free is None else int(free * GIB),
        limit_bytes=None if limit is None else int(limit * GIB),
        cores=cores,
    )


def gpu(
    index: int = 0, gib: float = 8, *, free: float | None = None, kind: str = "cuda", integrated: bool = False
) -> Device:
    total = int(gib * GIB)
    available = total if free is None else int(free * GIB)
    assert kind in {"cuda", "rocm", "metal", "vulkan"}
    return Device(
        id=f"{kind}-{index}",
        kind=kind,  # type: ignore[arg-type]
        name=f"{kind} {index}",
        total_bytes=total,
        free_bytes=available,
        engine_name=f"{kind.upper()}{index}",
        integrated=integrated,
    )


def info_of(plan: Plan) -> RunnerInfo:
    return RunnerInfo(
        context_length=plan.context_length,
        trained_context=plan.context_length,
        sequences=plan.sequences,
        cells=plan.cells,
        embedding_length=512,
        vocabulary_length=4096,
        bos=1,
        eos=2,
        bos_text="<s>",
        adds_bos=True,
        adds_eos=False,
        can_shift=True,
    )


class World:
    """Drives a core by hand: keeps what it was told to do and how every ticket ended."""

    def __init__(self, policy: Policy, devices: Sequence[Device]) -> None:
        self.core = Core(policy)
        self.devices = tuple(devices)
        self.now = 0.0
        self.tickets = 0
        self.granted: dict[int, int] = {}
        self.refused: dict[int, Exception] = {}
        self.loads: dict[int, LoadSpec] = {}
        self.unloads: list[int] = []
        self.wake_at: float | None = None
        self.send(events.DevicesChanged(self.devices))

    def send(self, event: Event) -> list[Command]:
        commands = self.core.handle(event, self.now)
        for command in commands:
            self._note(command)
        return commands

    def _note(self, command: Command) -> None:
        match command:
            case events.Grant(ticket, replica):
                assert ticket not in self.granted
                assert ticket not in self.refused
                self.granted[ticket] = replica
            case events.Refuse(ticket, error):
                assert ticket not in self.granted
                assert ticket not in self.refused
                self.refused[ticket] = error
            case events.Load(replica, spec):
                self.loads[replica] = spec
            case events.Unload(replica, _):
                self.unloads.append(replica)
            case events.Survey():
                self.send(events.DevicesChanged(self._measured()))
            case events.Wake(at):
                self.wake_at = at

    def _measured(self) -> tuple[Device, ...]:
        return self.devices

    def want(self, request: LeaseRequest) -> int:
        self.tickets += 1
        self.send(events.Wanted(self.tickets, request))
        return self.tickets

    def leave(self, ticket: int) -> None:
        self.send(events.Left(ticket))

    def loaded(self, replica: int) -> None:
        self.send(events.Loaded(replica, info_of(self.loads[replica].plan)))

    def unloaded(self, replica: int) -> None:
        self.send(events.Unloaded(replica))

    def elapse(self, seconds: float) -> None:
        self.now += seconds
        self.send(events.Elapsed())

    def replica(self, number: int) -> Replica:
        return next(replica for replica in self.core.replicas if replica.id == number)

    def finish_all(self) -> None:
        """Give back everything in use and finish every load and unload."""
        for replica in list(self.core.replicas):
            for ticket in list(replica.leases):
                self.leave(ticket)
            if replica.state == "loading":
                self.loaded(replica.id)
            elif replica.state == "unloading":
                self.unloaded(replica.id)

    def serve(self, request: LeaseRequest) -> tuple[int, int]:
        """Have a request granted, loading as needed; return (ticket, replica)."""
        ticket = self.want(request)
        for replica in list(self.core.replicas):
            if replica.state == "loading":
                self.loaded(replica.id)
        return ticket, self.granted[ticket]


class FakeRunner:
    """A replica that is told when to die."""

    def __init__(self, spec: LoadSpec) -> None:
        self.spec = spec
        self.info = info_of(spec.plan)
        self.closed = False
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def ended(self) -> bool:
        return self._ended.done()

    def die(self, reason: str) -> None:
        self._ended.set_result(reason)

    async def close(self) -> None:
        self.closed = True
        if not self._ended.done():
            self._ended.set_result("")

    async def wait_closed(self) -> str:
        return await asyncio.shield(self._ended)

    async def status(self) -> RunnerStatus:
        return RunnerStatus(state="ready")

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        return [ord(character) for character in text]

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    async def detokenize(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))

    async def generate(self, job: GenerateJob) -> AsyncGenerator[Delta | Finished, None]:
        yield Delta(text=job.prompt)
        yield Finished(reason="stop")

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        return [[0.0] for _ in job.inputs]


class FakeLauncher:
    """Starts fake runners; a load waits for ``gate`` when there is one, and fails with ``error``."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None
        self.started: list[LoadSpec] = []
        self.aborted: list[LoadSpec] = []
        self.runners: list[FakeRunner] = []

    async def launch(self, spec: LoadSpec) -> FakeRunner:
        self.started.append(spec)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.aborted.append(spec)
            raise
        if self.error is not None:
            raise self.error
        self.runners.append(FakeRunner(spec))
        return self.runners[-1]
