"""Bookkeeping of KV cells that several sequences may share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pollama.native.placeholder import cells_of


def cells_per_position(tokens: Sequence[int]) -> list[int]:
    """Return how many KV cells each position of ``tokens`` takes: text one, a medium all of its own at the first.

    With M-RoPE an image of w by h tokens takes w * h cells and only max(w, h) positions.
    """
    if not tokens or min(tokens) >= 0:
        return [1] * len(tokens)
    pairs = itertools.pairwise(itertools.chain((0,), tokens))
    return [1 if token >= 0 else cells_of(token) * (token != before) for before, token in pairs]


class CellLedger:
    """Counts the cells in use, by position. What was copied to other sequences is used once."""

    def __init__(self) -> None:
        self._next = 0
        self._rows: dict[int, list[int]] = {}
        self._others: dict[int, int] = {}  # positions that more than one sequence uses: how many more
        self._sizes: dict[int, int] = {}  # positions that have not one cell, as most have
        self._used = 0

    @property
    def used(self) -> int:
        """Cells that at least one sequence uses."""
        return self._used

    def used_by(self, sequences: set[int]) -> int:
        """Cells that at least one of ``sequences`` uses."""
        positions = set().union(*(self._rows.get(sequence, ()) for sequence in sequences))
        return sum(self._sizes.get(position, 1) for position in positions)

    def extend(self, sequence: int, cells: Sequence[int]) -> None:
        """Give a sequence a position for each of ``cells``, with that many new cells."""
        new = range(self._next, self._next + len(cells))
        self._next = new.stop
        self._rows.setdefault(sequence, []).extend(new)
        if cells.count(1) != len(cells):
            self._sizes.update((position, size) for position, size in zip(new, cells, strict=True) if size != 1)
        self._used += sum(cells)

    def share(self, source: int, target: int, count: int) -> None:
        """Let ``target``, which has none, use the first ``count`` positions of ``source`` too."""
        shared = self._rows.get(source, [])[:count]
        self._rows[target] = shared
        for position in shared:
            self._others[position] = self._others.get(position, 0) + 1

    def drop(self, sequence: int, start: int = 0, end: int | None = None) -> None:
        """Take the positions ``[start, end)`` from a sequence."""
        rows = self._rows.get(sequence, [])
        for position in rows[start:end]:
            others = self._others.pop(position, 0)
            if others > 1:
                self._others[position] = others - 1
            elif not others:
                self._used -= self._sizes.pop(position, 1)
        del rows[start:end]
