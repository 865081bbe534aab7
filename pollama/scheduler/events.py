"""What the scheduler's core is told and what it answers.

Tickets number requests, replicas number loads; neither number is used twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pollama.errors import PollamaError
from pollama.scheduler.policy import Policy
from pollama.types.devices import Device, Link
from pollama.types.generation import RunnerInfo, RunnerStatus
from pollama.types.model import Model
from pollama.types.plans import LoadSpec, Plan
from pollama.types.ports import LeaseRequest


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request wants a replica."""

    ticket: int
    request: LeaseRequest


@dataclass(frozen=True, slots=True)
class Left:
    """A request gave up waiting or gave its replica back; the core knows which of the two."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Somebody asked that a model's replicas leave as soon as they are idle."""

    model: Model


@dataclass(frozen=True, slots=True)
class Loaded:
    """A replica is ready."""

    replica: int
    info: RunnerInfo


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """A replica could not be loaded; nothing of it is left."""

    replica: int
    error: PollamaError


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A replica that was told to leave is gone, with all its memory."""

    replica: int


@dataclass(frozen=True, slots=True)
class ReplicaExited:
    """A replica died by itself."""

    replica: int


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    """A new reading of all devices and their free memory, and of what joins them."""

    devices: Sequence[Device]
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """Somebody wants a replica elsewhere: a new one by ``plan`` shall take its place (None: it shall only leave)."""

    replica: int
    plan: Plan | None
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The busy share of each device, 0 to 1, by its id."""

    busy: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Timed:
    """How replicas do, by their numbers."""

    statuses: Mapping[int, RunnerStatus]


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Other settings count from now on."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time of a Wake has come."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The server is going down: nobody is served any more and all replicas leave."""


ReplicaEvent: TypeAlias = Loaded | LoadFailed | Unloaded | ReplicaExited | Moved
Event: TypeAlias = (
    Wanted | Left | Expired | DevicesChanged | Measured | Timed | Reconfigured | Elapsed | Closed | ReplicaEvent
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The ticket may use the replica until it has Left."""

    ticket: int
    replica: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The ticket is over."""

    ticket: int
    error: PollamaError


@dataclass(frozen=True, slots=True)
class Load:
    """Start a replica; ends in Loaded or LoadFailed (or Unloaded, when told to leave before that)."""

    replica: int
    spec: LoadSpec


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop a replica that nobody uses, or its load; ends in Unloaded. ``reason`` is for the log."""

    replica: int
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Read the devices again; ends in DevicesChanged."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Send Elapsed at this monotonic time; replaces an earlier Wake."""

    at: float


Command: TypeAlias = Grant | Refuse | Load | Unload | Survey | Wake
