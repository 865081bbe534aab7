"""The parts in which a large blob travels, and the files that remember how far a download has come.

Beside the blob lie ``<blob>-partial``, the bytes so far, and ``<blob>-partial-<n>``, one JSON object per part. The
files are those of Ollama: what one program has begun, the other goes on with.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

MAX_PARALLEL: Final = 16
_MIN_BYTES: Final = 100_000_000
_MAX_BYTES: Final = 1_000_000_000


class Part(msgspec.Struct, rename="pascal"):
    """A range of a blob: ``size`` bytes from ``offset``, of which the first ``completed`` are there."""

    number: int = msgspec.field(name="N")
    offset: int
    size: int
    completed: int = 0

    @property
    def end(self) -> int:
        """The offset of the first byte after this part."""
        return self.offset + self.size

    @property
    def position(self) -> int:
        """The offset of the first byte that is missing."""
        return self.offset + self.completed


def divide(total: int) -> list[Part]:
    """Divide ``total`` bytes: by 16, but into parts of 100 MB at least and 1 GB at most."""
    size = min(max(total // MAX_PARALLEL, _MIN_BYTES), _MAX_BYTES)
    starts = range(0, total, size)
    return [Part(number, start, min(size, total - start)) for number, start in enumerate(starts)]


class PartialFiles:
    """The files of one unfinished download. All methods block and raise OSError."""

    def __init__(self, blob: Path) -> None:
        self.data = blob.with_name(f"{blob.name}-partial")

    def load(self) -> list[Part]:
        """Return the parts of an earlier download; none when there was none or its files do not fit together."""
        try:
            parts = [msgspec.json.decode(path.read_bytes(), type=Part) for path in self._states()]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        parts.sort(key=lambda part: part.number)
        whole = bool(parts) and self.data.exists() and self.data.stat().st_size == parts[-1].end
        return parts if whole and _fit_together(parts) else []

    def save(self, part: Part) -> None:
        """Write down how far a part has come."""
        descriptor = os.open(self._state(part), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            data = msgspec.json.encode(part) + b"\n"
            os.write(descriptor, data)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)

    def begin(self, parts: list[Part]) -> None:
        """Start afresh with ``parts``."""
        self.forget()
        for part in parts:
            self.save(part)

    def open(self) -> int | None:
        """Open the file of the bytes for this process alone and return its descriptor; None when another has it."""
        descriptor = os.open(self.data, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), self.data.stat()):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass  # it is in use, or was finished between the two calls
        os.close(descriptor)
        return None

    def forget(self) -> None:
        """Remove the state of all parts, but not the bytes."""
        for path in list(self._states()):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        self.data.unlink(missing_ok=True)
        self.forget()

    def _state(self, part: Part) -> Path:
        return self.data.with_name(f"{self.data.name}-{part.number}")

    def _states(self) -> Iterator[Path]:
        return self.data.parent.glob(f"{self.data.name}-*")


def _fit_together(parts: list[Part]) -> bool:
    """Whether the parts, in order, cover a blob without gaps."""
    position = 0
    for number, part in enumerate(parts):
        if part.number != number or part.offset != position or not 0 <= part.completed <= part.size:
            return False
        position = part.end
    return True
