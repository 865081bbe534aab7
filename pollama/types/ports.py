"""The seams of pollama: what one layer asks of another, as Protocols.

``server.py`` is the only place that knows which class stands behind each of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pollama.types.devices import DeviceUse
from pollama.types.events import Progress
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, RunnerInfo, RunnerStatus
from pollama.types.json import Json
from pollama.types.library import CreateRequest, ModelDescription, ModelListing
from pollama.types.model import Model, PromptTraits, StoredModel
from pollama.types.multigpu import MultiGpu, Wish
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Move, Plan, PlanPreview


class Inspector(Protocol):
    """Reads the prompt format of a model (``prompts``, handed to ``models``)."""

    def traits(self, stored: StoredModel) -> PromptTraits:
        """Return mode and capabilities. A template that does not parse gives none; nothing is raised."""
        ...

    def check_template(self, text: str) -> None:
        """Raise TemplateError with Go's text when ``text`` does not parse."""
        ...

    def detect_template(self, chat_template: str) -> tuple[str, str, list[str]] | None:
        """Return (name, Go template, stop strings) of the known template nearest to a GGUF's Jinja text."""
        ...


class Library(Protocol):
    """The model store as the API uses it. Blocking work runs off the event loop inside the implementation."""

    async def resolve(self, name: str) -> Model:
        """Return the model that ``name`` (as a client sent it) stands for.

        Raises NameRequiredError, InvalidNameError, ModelNotFoundError, StoreError or WeightsError.
        """
        ...

    def asks_for_cloud(self, name: str) -> bool:
        """Tell whether ``name`` (as a client sent it) explicitly means a model of Ollama's cloud (``x:cloud``).

        Raises as ``resolve`` does for a name that is none.
        """
        ...

    async def list(self) -> Sequence[ModelListing]:
        """Return all models, most recently modified first; unreadable manifests are skipped."""
        ...

    async def describe(
        self, name: str, *, system: str = "", options: dict[str, Json] | None = None, verbose: bool = False
    ) -> ModelDescription:
        """Return what /api/show tells of a model; without ``verbose`` arrays of the GGUF are None.

        Raises as ``resolve``; ModelNotFoundError has the short name.
        """
        ...

    async def copy(self, source: str, destination: str) -> None:
        """Copy a manifest. Raises BadRequestError (texts of /api/copy) or ModelNotFoundError."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a manifest and the blobs that nothing else uses. Raises as /api/delete."""
        ...

    def create(self, request: CreateRequest) -> AsyncIterator[Progress]:
        """Carry out a create; the last record is ``success``. Errors are raised out of the iterator."""
        ...

    def pull(self, name: str, *, insecure: bool = False) -> AsyncIterator[Progress]:
        """Download a model; the last record is ``success``. Errors are raised out of the iterator."""
        ...

    def push(self, name: str, *, insecure: bool = False) -> AsyncIterator[Progress]:
        """Upload a model to the registry that its name says; the last record is ``success``."""
        ...

    async def has_blob(self, digest: str) -> bool:
        """Tell whether a blob is stored. Raises BadRequestError ``invalid digest format``."""
        ...

    def open_upload(self, digest: str) -> AbstractAsyncContextManager[BlobUpload]:
        """Begin an upload; what is not committed leaves nothing behind."""
        ...


class BlobUpload(Protocol):
    """A blob on its way into the store."""

    async def write(self, chunk: bytes) -> None:
        """Append bytes. Raises StoreError when the disk is full."""
        ...

    async def commit(self) -> None:
        """Verify the digest and put the blob in place. Raises DigestMismatchError."""
        ...


class Runner(Protocol):
    """One loaded replica, wherever it lives."""

    @property
    def info(self) -> RunnerInfo:
        """Facts fixed at load."""
        ...

    async def status(self) -> RunnerStatus:
        """Ask for the current state."""
        ...

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Return token ids of ``text``."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text (no BOS added, special tokens recognised) in one round trip."""
        ...

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        ...

    def generate(self, job: GenerateJob) -> AsyncGenerator[Delta | Finished, None]:
        """Produce one sequence: any number of Delta, then one Finished. Closing the iterator cancels it.

        Raises GenerationError (with a status), PromptTooLongError, FormatError or RunnerDiedError.
        """
        ...

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        """Return one raw vector per input. Raises GenerationError."""
        ...

    async def close(self) -> None:
        """End the process and free all it holds; safe to call twice."""
        ...

    async def wait_closed(self) -> str:
        """Return when the process has ended, with the reason ("" when ``close`` was called)."""
        ...


class Launcher(Protocol):
    """Starts runners."""

    async def launch(self, spec: LoadSpec) -> Runner:
        """Start a runner and wait until it is ready. Cancelling stops it. Raises LoadError with the engine's reason."""
        ...


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a prompt: ``key`` stands for all of its text, ``tokens`` is about how many it has."""

    key: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What a request wants of the scheduler. ``client`` groups requests for fairness (API key or address).

    ``prefixes`` are beginnings of the prompt, shortest first, the last one being all of it. ``tokens`` is about how
    many tokens the request will cost, prompt and answer.
    """

    model: Model
    options: Options
    keep_alive: float | None = None
    context_shift: bool = True
    client: str = ""
    wish: Wish = field(default_factory=Wish)
    prefixes: tuple[Prefix, ...] = ()
    tokens: int = 0


class Lease(Protocol):
    """The right to use one replica until it is given back."""

    @property
    def runner(self) -> Runner:
        """The replica."""
        ...

    @property
    def load_seconds(self) -> float:
        """Time from the request until the replica was ready."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """One replica of a loaded model. ``expires_at`` is Unix time, or FOREVER; ``replica`` numbers the loads."""

    model: Model
    plan: Plan
    info: RunnerInfo | None
    expires_at: float
    total_bytes: int
    gpu_bytes: int
    in_use: int
    replica: int = 0
    state: Literal["loading", "ready", "unloading"] = "ready"


class Scheduler(Protocol):
    """Decides where and when a request runs."""

    def acquire(self, request: LeaseRequest) -> AbstractAsyncContextManager[Lease]:
        """Wait for a replica and hold it; cancelling leaves the queue.

        Raises QueueFullError, PlacementError or LoadError.
        """
        ...

    async def unload(self, model: Model) -> None:
        """Let a model's replicas expire now: idle ones leave at once, busy ones when they are done."""
        ...

    def residents(self) -> Sequence[Resident]:
        """Return the replicas of the loaded models, latest expiry first."""
        ...

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        ...

    async def devices(self) -> Sequence[DeviceUse]:
        """Read all devices and return what is on them."""
        ...

    async def preview(self, model: Model, options: Options) -> PlanPreview:
        """Return what would be done with a model; nothing is loaded."""
        ...


class Steering(Protocol):
    """What an operator may do with replicas (``scheduler``, used by /api/multigpu)."""

    async def reconfigure(self, settings: MultiGpu) -> None:
        """Obey other settings from now on; what is loaded stays until it is moved or leaves."""
        ...

    async def rebalance(self) -> Sequence[Move]:
        """Plan all loaded models anew and begin the moves that make them faster; return those. Requests finish."""
        ...

    async def migrate(self, model: Model, devices: Sequence[str], *, replica: int | None = None) -> Move:
        """Begin to move a replica of ``model`` (the only one, or ``replica``) to ``devices``: the new one loads first.

        Raises BadRequestError for an unknown device or replica, PlacementError when it does not fit there.
        """
        ...

    def moves(self) -> Sequence[Move]:
        """Return the moves under way and the last ones that ended, newest first."""
        ...

    async def statuses(self) -> Mapping[int, RunnerStatus]:
        """Ask all replicas that are ready how they do; those that do not answer are left out."""
        ...


class Settings(Protocol):
    """The settings for several devices of a running server (``config``, used by /api/multigpu)."""

    def describe(self) -> dict[str, Json]:
        """Return them nested as in YAML, with ``file``, ``sources`` and ``no_effect``."""
        ...

    async def update(self, changes: Mapping[str, object]) -> None:
        """Obey ``changes`` (nested as in YAML; null = the default) and keep them. Raises ConfigError."""
        ...
