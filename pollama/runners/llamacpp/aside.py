"""Work that the engine thread does beside its steps, such as embeddings: piece by piece, never at their cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class SideWork:
    """Pieces of work in order of arrival. All calls come from one thread; ``clock`` is monotonic, in seconds.

    While steps are computed too, at least one step and as much time as a piece took pass before the next piece.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pieces: deque[Callable[[], object]] = deque()
        self._due = 0.0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, piece: Callable[[], object]) -> None:
        """Queue a piece."""
        self._pieces.append(piece)

    def after_step(self) -> None:
        """Do the next piece, unless the steps are still to catch up with the last one."""
        if self._pieces and self._clock() >= self._due:
            self.next()

    def next(self) -> None:
        """Do the next piece, if there is one."""
        if not self._pieces:
            return
        started = self._clock()
        self._pieces.popleft()()
        ended = self._clock()
        self._due = ended + (ended - started)
