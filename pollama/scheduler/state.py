"""Tickets and replicas: what the core keeps about requests and loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pollama.scheduler.capacity import is_automatic
from pollama.scheduler.prefixes import RecentPrefixes
from pollama.types.generation import RunnerInfo
from pollama.types.model import Model
from pollama.types.multigpu import Wish
from pollama.types.options import Options
from pollama.types.plans import Plan
from pollama.types.ports import LeaseRequest

ModelKey: TypeAlias = tuple[Path | None, tuple[Path, ...], tuple[Path, ...]]
"""What makes two names the same model in memory: weights, adapters, projectors."""


Target: TypeAlias = tuple[ModelKey, tuple[object, ...], tuple[bool, bool], Wish]


def model_key(model: Model) -> ModelKey:
    """Return the files that a runner of ``model`` loads."""
    stored = model.stored
    return stored.weights, stored.adapters, stored.projectors


def load_target(model: Model, options: Options, wish: Wish) -> Target:
    """Return what a load of ``model`` with ``options`` is; equal targets are served by the same load."""
    automatic = is_automatic(options, "num_ctx"), is_automatic(options, "num_batch")
    return model_key(model), options.load_key(), automatic, wish


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request.

    ``turn`` orders the queue, ``admitted`` tells that it has been found room in it. ``cautious``: a load for it ran out
    of memory; the next one has the devices for itself and, if it is automatic, a shorter context. It waits ``since`` a
    monotonic time.
    """

    id: int
    request: LeaseRequest
    turn: int
    since: float = 0.0
    admitted: bool = False
    cautious: bool = False
    key: ModelKey = field(init=False)
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        self.key = model_key(self.request.model)
        self.ask(self.request)

    def ask(self, request: LeaseRequest) -> None:
        """Ask for the same model, on other terms."""
        self.request = request
        self.target = load_target(request.model, request.options, request.wish)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease: since when (monotonic seconds), and the tokens that it is expected to cost."""

    since: float
    tokens: int


@dataclass(slots=True, eq=False)
class Replica:
    """One load of a model, from its Load command until it is gone. Times are monotonic seconds.

    ``model`` is the name that it was loaded for first, ``wish`` what was asked for then; ``is_retry`` tells that memory
    was short the last time. ``leases`` are the tickets that use it, with what they want of it. ``newest_waiter`` is the
    youngest ticket that was waiting when it became ready: up to that one it serves before it makes room. ``draining``:
    it gets no new requests and leaves when the last one is over. ``prefixes`` are the beginnings of prompts that it has
    seen lately, ``left_devices`` those that it was moved away from.
    ``last_choice`` numbers the grant that it was last chosen for, ``extended_at`` the grant after which it was last
    given company.
    """

    id: int
    model: Model
    options: Options
    plan: Plan
    keep_alive: float
    last_used: float
    wish: Wish = field(default_factory=Wish)
    is_retry: bool = False
    state: Literal["loading", "ready", "unloading"] = "loading"
    leases: dict[int, Held] = field(default_factory=dict)
    draining: bool = False
    prefixes: RecentPrefixes = field(default_factory=RecentPrefixes)
    left_devices: frozenset[str] = frozenset()
    expires_at: float | None = None
    newest_waiter: int = 0
    last_choice: int = 0
    extended_at: int = 0
    info: RunnerInfo | None = None
    key: ModelKey = field(init=False)
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        self.key = model_key(self.model)
        self.target = load_target(self.model, self.options, self.wish)

    @property
    def is_idle(self) -> bool:
        """Ready and used by nobody: it may be unloaded."""
        return self.state == "ready" and not self.leases

    @property
    def stays(self) -> bool:
        """Here, or about to be, and not on its way out."""
        return self.state != "unloading" and not self.draining

    @property
    def serves_on(self) -> bool:
        """Ready, and here to stay."""
        return self.state == "ready" and not self.draining

    @property
    def has_room(self) -> bool:
        """Ready, with a free sequence."""
        return self.serves_on and len(self.leases) < self.plan.sequences

    @property
    def outstanding(self) -> int:
        """Tokens that its requests are expected to cost, all together."""
        return sum(held.tokens for held in self.leases.values())

    def serves(self, ticket: Ticket, context_length: int) -> bool:
        """Tell whether a ticket for the same model, which would get ``context_length``, needs no other load."""
        if not self.stays or not self._grants(ticket.request.wish):
            return False
        return self.target == ticket.target or self._has_what_it_asks(ticket.request.options, context_length)

    def _grants(self, wish: Wish) -> bool:
        """Tell whether what is loaded is what a request asks of the devices, whoever asked for it.

        ``data`` is not, where nobody asked for it: it is one replica that will have company only when requests wait.
        """
        chosen = {"auto", self.wish.strategy} | ({self.plan.strategy} - {"data"})
        there = {share.device for share in self.plan.shares if share.layers}
        return (
            wish.strategy in chosen
            and (wish.devices is None or there.issubset(wish.devices))
            and wish.profile in {"balanced", self.wish.profile}
        )

    def _has_what_it_asks(self, wanted: Options, context_length: int) -> bool:
        return (
            (self._both_automatic(wanted, "num_ctx") or context_length == self.plan.context_length)
            and (self._both_automatic(wanted, "num_batch") or wanted.num_batch == self.plan.batch)
            and (wanted.num_gpu < 0 or wanted.num_gpu == self.options.num_gpu)
            and all(
                getattr(wanted, name) == getattr(self.options, name)
                for name in ("main_gpu", "use_mmap", "num_thread", "draft_num_predict")
            )
        )

    def _both_automatic(self, wanted: Options, name: str) -> bool:
        return is_automatic(wanted, name) and is_automatic(self.options, name)
