"""What the engine has produced and the reader has not taken yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from pollama.errors import GenerationError
from pollama.types.generation import Delta, Finished

LIMIT: Final = 1 << 18
"""Tokens and log probabilities that may wait for a reader, together (about 50 MB at the worst)."""


class Backlog:
    """The way from an engine to one reader that may be slow.

    What nobody took yet is read at once, item by item as the engine made it: clients count records. A reader that
    stays away until ``LIMIT`` is reached loses the generation, because the engine cannot wait for it.
    """

    def __init__(self) -> None:
        self._deltas: list[Delta] = []
        self._weight = 0
        self._end: Finished | Exception | None = None
        self._changed = asyncio.Event()
        self._on_overflow: Callable[[], object] | None = None

    @property
    def ended(self) -> bool:
        """Whether the engine is done with this generation."""
        return self._end is not None

    def when_full(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when ``LIMIT`` is reached, so that the engine stops."""
        self._on_overflow = callback

    def put(self, item: Delta | Finished | Exception) -> None:
        """Take one item from the engine; nothing is taken after the end."""
        if self._end is not None:
            return
        if isinstance(item, Delta):
            self._take(item)
        else:
            self._end = item
        self._changed.set()

    def _take(self, delta: Delta) -> None:
        weight = self._weight + _weight(delta)
        if weight <= LIMIT:
            self._weight = weight
            self._deltas.append(delta)
            return
        self._end = GenerationError("the answer was not read for too long")
        if self._on_overflow is not None:
            self._on_overflow()

    async def get(self) -> list[Delta | Finished | Exception]:
        """Return all that is waiting, in order, the end of the generation last; waits until there is something."""
        while not self._deltas and self._end is None:
            self._changed.clear()
            await self._changed.wait()
        taken: list[Delta | Finished | Exception] = [*self._deltas]
        self._deltas, self._weight = [], 0
        return taken if self._end is None else [*taken, self._end]


def _weight(delta: Delta) -> int:
    scores = sum(1 + len(entry.top) for entry in delta.logprobs) if delta.logprobs else 0
    return 1 + len(delta.tokens) + scores
