"""Bookkeeping of KV cells that several sequences may share."""

from __future__ import annotations

import itertools


class CellLedger:
    """Counts the cells in use. A cell that was copied to other sequences is used once."""

    def __init__(self) -> None:
        self._ids = itertools.count()
        self._rows: dict[int, list[int]] = {}
        self._uses: dict[int, int] = {}

    @property
    def used(self) -> int:
        """Cells that at least one sequence uses."""
        return len(self._uses)

    def used_by(self, sequences: set[int]) -> int:
        """Cells that at least one of ``sequences`` uses."""
        return len(set().union(*(self._rows.get(sequence, ()) for sequence in sequences)))

    def extend(self, sequence: int, count: int) -> None:
        """Give ``count`` new cells to a sequence."""
        new = list(itertools.islice(self._ids, count))
        self._rows.setdefault(sequence, []).extend(new)
        self._uses.update(dict.fromkeys(new, 1))

    def share(self, source: int, target: int, count: int) -> None:
        """Let ``target``, which has none, use the first ``count`` cells of ``source`` too."""
        shared = self._rows.get(source, [])[:count]
        self._rows[target] = shared
        for cell in shared:
            self._uses[cell] += 1

    def drop(self, sequence: int, start: int = 0, end: int | None = None) -> None:
        """Take the cells ``[start, end)`` from a sequence."""
        rows = self._rows.get(sequence, [])
        for cell in rows[start:end]:
            self._uses[cell] -= 1
            if not self._uses[cell]:
                del self._uses[cell]
        del rows[start:end]
