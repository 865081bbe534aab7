"""Replicas on their way to other devices: the new one loads first, then it takes over, then the old one drains."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from pollama.scheduler.residency import holding_devices
from pollama.scheduler.state import Replica
from pollama.types.plans import Move

_REMEMBERED: Final = 32
"""So many moves that have ended are still shown."""


@dataclass(slots=True, eq=False)
class _Moving:
    """A move; without ``heir`` the replica only leaves. One that has left before still waits for its heir."""

    replica: Replica
    heir: Replica | None
    reason: str
    state: Literal["loading", "draining", "done", "failed"]
    source_is_gone: bool = False

    def record(self) -> Move:
        return Move(
            model=self.replica.model.stored.short_name,
            replica=self.replica.id,
            source=tuple(holding_devices(self.replica.plan)),
            target=tuple(holding_devices(self.heir.plan)) if self.heir else None,
            state=self.state,
            reason=self.reason,
        )


class Moves:
    """The moves under way and the last ones that ended."""

    def __init__(self) -> None:
        self._under_way: list[_Moving] = []
        self._ended: deque[_Moving] = deque(maxlen=_REMEMBERED)

    def records(self) -> list[Move]:
        """Return all of them, newest first."""
        return [moving.record() for moving in (*reversed(self._under_way), *reversed(self._ended))]

    def begin(self, replica: Replica, heir: Replica | None, reason: str) -> Move:
        """Record a move whose new replica loads; without one the old replica drains at once."""
        moving = _Moving(replica, heir, reason, "loading" if heir else "draining")
        replica.draining = heir is None
        self._under_way.append(moving)
        return moving.record()

    def concerns(self, replica: Replica) -> bool:
        """Tell whether a replica leaves or comes by a move that is under way."""
        return any(replica in (moving.replica, moving.heir) for moving in self._under_way)

    def awaits(self, replica: Replica) -> bool:
        """Tell whether a load belongs to a move, and has what it is for: its device and a time to stay."""
        coming = any(moving.heir is replica and moving.state == "loading" for moving in self._under_way)
        return coming and not replica.draining and replica.keep_alive > 0

    def loaded(self, replica: Replica) -> None:
        """Let a new replica take over: the old one gets no more requests. It may be gone already."""
        for moving in list(self._under_way):
            if moving.heir is replica and moving.state == "loading" and not replica.draining:
                moving.state = "draining"
                moving.replica.draining = True
                if moving.source_is_gone:
                    self._end(moving, "done")

    def gone(self, replica: Replica) -> None:
        """Take note that a replica has left, died or could not be loaded."""
        for moving in list(self._under_way):
            if moving.heir is replica and moving.state == "loading":
                self._end(moving, "failed")
            elif moving.replica is replica and moving.state == "draining":
                self._end(moving, "done")
            elif moving.replica is replica:
                moving.source_is_gone = True

    def _end(self, moving: _Moving, state: Literal["done", "failed"]) -> None:
        moving.state = state
        self._under_way.remove(moving)
        self._ended.append(moving)
