"""How long requests of a model take, smoothed: what waiting costs against another load."""

from __future__ import annotations

from typing import Final

from pollama.scheduler.state import Target

_NEWEST: Final = 0.2
"""Weight of the newest request in the smoothed time."""


class ServiceTimes:
    """How long requests hold their replicas, by what is loaded, in seconds."""

    def __init__(self) -> None:
        self._seconds: dict[Target, float] = {}

    def served(self, target: Target, seconds: float) -> None:
        """Take note of a request that held its replica for ``seconds``."""
        known = self._seconds.get(target, seconds)
        self._seconds[target] = known + _NEWEST * (seconds - known)

    def wait(self, target: Target, waiting: int, sequences: int) -> float:
        """Return the time until the last of ``waiting`` requests is served; infinity where nothing is known."""
        seconds = self._seconds.get(target)
        return float("inf") if seconds is None else seconds * waiting / max(1, sequences)

    def forget(self, target: Target) -> None:
        """Drop what is known of a model that is gone."""
        self._seconds.pop(target, None)
