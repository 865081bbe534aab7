"""Runners whose first stages share cores compute them in turn.

Two splits over the same devices fill each other's gaps only when their batches follow each other through the stages. If
both compute the first stage at once, each takes twice as long, both reach the second stage together, and there it is
the same again: nothing overlaps.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

_CORES: Final = Path("/sys/devices/system/cpu")


class Turn:
    """A lock held while a stage is computed. It is the kernel's own folder of the first of ``cores``.

    Nothing has to be made or removed, it ends with the process, and whoever shares the cores shares it. Without cores,
    or where the kernel has no such folder, there is nothing to wait for.
    """

    def __init__(self, cores: Sequence[int] = (), folder: Path = _CORES) -> None:
        path = folder / f"cpu{cores[0]}" if cores else None
        self._descriptor = os.open(path, os.O_RDONLY) if path is not None and path.exists() else None

    def __enter__(self) -> Self:
        """Wait for the turn."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        """Let the next one compute."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock up; safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
