"""What stands behind the ports while the API is tested: answers are set by the test, calls are kept for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from pollama.errors import BadRequestError, ConfigError, DigestMismatchError, ModelNotFoundError, NameRequiredError
from pollama.types.devices import DeviceUse
from pollama.types.events import Done, Embeddings, Piece, Progress, Rendered
from pollama.types.generation import RunnerStatus
from pollama.types.json import Json
from pollama.types.library import CreateRequest, ModelDescription, ModelListing
from pollama.types.model import Model, ModelConfig, PromptTraits, StoredModel
from pollama.types.multigpu import MultiGpu
from pollama.types.options import Options
from pollama.types.plans import Move, PlanPreview
from pollama.types.ports import BlobUpload, Lease, LeaseRequest, Resident
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest

Event = Piece | Done | Rendered


def make_model(name: str = "test:latest", config: ModelConfig | None = None) -> Model:
    """Return a model without weights."""
    stored = StoredModel(
        name=f"registry.ollama.ai/library/{name}",
        short_name=name,
        digest="ab" * 32,
        size=1000,
        modified_at=1_700_000_000.25,
        config=config or ModelConfig(model_format="gguf", model_family="llama", model_families=("llama",)),
        spec=None,
        weights=None,
    )
    traits = PromptTraits(
        mode="rendered", selected="template", capabilities=("completion",), listed_capabilities=("completion",)
    )
    return Model(stored=stored, traits=traits)


@dataclass
class FakeInference:
    """Plays back ``events``; an exception among them is raised at its place."""

    events: list[Event | Exception] = field(default_factory=list)
    embeddings: Embeddings | Exception = field(default_factory=lambda: Embeddings(vectors=[]))
    requests: list[ChatRequest | CompletionRequest | EmbedRequest] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    endless: bool = False
    blocked: bool = False
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def chat(self, request: ChatRequest, *, client: str = "") -> AsyncIterator[Event]:
        self.requests.append(request)
        self.clients.append(client)
        return self._play()

    def complete(self, request: CompletionRequest, *, client: str = "") -> AsyncIterator[Event]:
        self.requests.append(request)
        return self._play()

    async def count_tokens(self, request: ChatRequest, *, client: str = "") -> int:
        self.requests.append(request)
        return 7

    async def embed(self, request: EmbedRequest, *, client: str = "") -> Embeddings:
        self.requests.append(request)
        if isinstance(self.embeddings, Exception):
            raise self.embeddings
        return self.embeddings

    async def _play(self) -> AsyncIterator[Event]:
        try:
            if self.blocked:
                self.waiting.set()
                await asyncio.Event().wait()
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            while self.endless:
                yield Piece(content="again")
                await asyncio.sleep(0)
        finally:
            self.closed.set()


@dataclass
class FakeUpload:
    """Checks the digest as the store does."""

    digest: str
    blobs: set[str]
    data: bytes = b""

    async def write(self, chunk: bytes) -> None:
        self.data += chunk

    async def commit(self) -> None:
        actual = f"sha256:{hashlib.sha256(self.data).hexdigest()}"
        if actual != self.digest:
            raise DigestMismatchError(f'digest mismatch, expected "{self.digest}", got "{actual}"')
        self.blobs.add(actual)


@dataclass
class FakeLibrary:
    """A store that holds what the test puts in."""

    listings: list[ModelListing] = field(default_factory=list)
    model: Model | None = None
    description: ModelDescription | None = None
    progress: list[Progress | Exception] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    created: list[CreateRequest] = field(default_factory=list)

    async def resolve(self, name: str) -> Model:
        if self.model is None:
            raise ModelNotFoundError(name)
        return self.model

    def asks_for_cloud(self, name: str) -> bool:
        if not name:
            raise NameRequiredError
        return name.endswith(":cloud")

    async def list(self) -> Sequence[ModelListing]:
        return self.listings

    async def describe(
        self, name: str, *, system: str = "", options: dict[str, Json] | None = None, verbose: bool = False
    ) -> ModelDescription:
        self.calls.append(("describe", name, system, repr(options), str(verbose)))
        if self.description is None:
            raise ModelNotFoundError(f"{name}:latest")
        return self.description

    async def copy(self, source: str, destination: str) -> None:
        if source == "nope":
            raise ModelNotFoundError(source)
        self.calls.append(("copy", source, destination))

    async def delete(self, name: str) -> None:
        self.calls.append(("delete", name))

    def create(self, request: CreateRequest) -> AsyncIterator[Progress]:
        self.created.append(request)
        return self._steps()

    def pull(self, name: str, *, insecure: bool = False) -> AsyncIterator[Progress]:
        self.calls.append(("pull", name, str(insecure)))
        return self._steps()

    def push(self, name: str, *, insecure: bool = False) -> AsyncIterator[Progress]:
        self.calls.append(("push", name, str(insecure)))
        return self._steps()

    async def _steps(self) -> AsyncIterator[Progress]:
        for step in self.progress:
            if isinstance(step, Exception):
                raise step
            yield step

    async def has_blob(self, digest: str) -> bool:
        if not digest.startswith("sha256"):
            raise BadRequestError("invalid digest format")
        return digest in self.blobs

    def open_upload(self, digest: str) -> AbstractAsyncContextManager[BlobUpload]:
        return self._upload(digest)

    @asynccontextmanager
    async def _upload(self, digest: str) -> AsyncIterator[FakeUpload]:
        yield FakeUpload(digest, self.blobs)


@dataclass
class FakeScheduler:
    """Knows the residents, devices and plans it is given."""

    resident: list[Resident] = field(default_factory=list)
    waiting: int = 0
    known_devices: list[DeviceUse] = field(default_factory=list)
    planned: PlanPreview = field(default_factory=PlanPreview)
    asked: list[tuple[Model, Options]] = field(default_factory=list)

    def acquire(self, request: LeaseRequest) -> AbstractAsyncContextManager[Lease]:
        raise NotImplementedError

    async def unload(self, model: Model) -> None:
        raise NotImplementedError

    def residents(self) -> Sequence[Resident]:
        return self.resident

    async def devices(self) -> Sequence[DeviceUse]:
        return self.known_devices

    async def preview(self, model: Model, options: Options) -> PlanPreview:
        self.asked.append((model, options))
        return self.planned


@dataclass
class FakeSteering:
    """Keeps what it was asked for; answers with what the test puts in."""

    begun: list[Move] = field(default_factory=list)
    known: dict[int, RunnerStatus] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...], int | None]] = field(default_factory=list)

    async def reconfigure(self, settings: MultiGpu) -> None:
        raise NotImplementedError

    async def rebalance(self) -> Sequence[Move]:
        return self.begun

    async def migrate(self, model: Model, devices: Sequence[str], *, replica: int | None = None) -> Move:
        self.asked.append((model.stored.short_name, tuple(devices), replica))
        return self.begun[0]

    def moves(self) -> Sequence[Move]:
        return self.begun

    async def statuses(self) -> Mapping[int, RunnerStatus]:
        return self.known


@dataclass
class FakeSettings:
    """Settings that take every change but the ones that the test forbids."""

    values: dict[str, Json] = field(
        default_factory=lambda: {"multi_gpu": {"enabled": True, "strategy": "data", "data_parallel": {"replicas": 2}}}
    )
    refusal: str = ""

    def describe(self) -> dict[str, Json]:
        return self.values

    async def update(self, changes: Mapping[str, object]) -> None:
        if self.refusal:
            raise ConfigError(self.refusal)
        self.values = {**self.values, **changes}
