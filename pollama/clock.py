"""Time, as something that can be handed in."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time in seconds."""

    def monotonic(self) -> float:
        """Return a time that never goes back; only differences mean something."""
        ...

    def time(self) -> float:
        """Return Unix time."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return the system's monotonic time."""
        return time.monotonic()

    def time(self) -> float:
        """Return the system's Unix time."""
        return time.time()


class ManualClock:
    """A clock that stands still until ``advance`` is called."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def monotonic(self) -> float:
        """Return the seconds it was advanced to."""
        return self._now

    def time(self) -> float:
        """Return the same as ``monotonic``: its epoch is where it started."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._now += seconds
