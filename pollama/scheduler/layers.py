"""How many layers each stage gets: by measured speed, under memory limits. Pure.

With one batch under way the time of a pass is the sum of all stages: the fastest get as much as they can hold. With
several groups under way, the slowest stage sets the pace: all get the same time. Either is found by dynamic programming
over the stages in their order, for every block that one of them may end before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pollama.scheduler.costs import Passage
from pollama.scheduler.estimate import Footprint
from pollama.scheduler.fitting import Space, fixed_bytes
from pollama.scheduler.speeds import Speed

_Floats: TypeAlias = NDArray[np.float64]
_EVEN: Final = 1e-3
"""What it counts, in shares of a pass, that a stage is long: among splits that are as fast, the most even one."""


class BySpeed:
    """An ``Apportion`` for the least time of ``passage`` with ``groups`` of it under way; each stage gets a block."""

    def __init__(self, passage: Passage, speeds: Mapping[str, Speed], groups: int = 1) -> None:
        self._read, self._operations = _work_between(passage)
        self._speeds = speeds
        self._groups = groups

    def __call__(self, need: Footprint, first: int, stages: Sequence[Space]) -> list[int]:
        """Return where each stage's blocks begin, and the end; nothing for any of them where they do not fit."""
        held = _bytes_between(need.weights, need.kv)[first:, first:]
        tables = [self._seconds(self._speeds[space.device.id], first) for space in stages]
        scale = float(tables[0][0, -1])
        for table, room in zip(tables, _rooms(need, stages), strict=True):
            table[held > room] = np.inf
        borders = _shortest(tables, scale) if self._groups == 1 else _evenest(tables)
        return [first + border for border in borders] if borders else [first] * (len(stages) + 1)

    def _seconds(self, speed: Speed, first: int) -> _Floats:
        """Return how long a stage takes from each block (rows) to before each other one; infinity for no blocks."""
        reading = self._read[first:, first:] * (1 / speed.bandwidth)
        computing = self._operations[first:, first:] * (1 / speed.compute)
        return np.maximum(reading, computing) if speed.overlaps else reading + computing


def _shortest(tables: Sequence[_Floats], scale: float) -> list[int]:
    """Return the borders with the least sum of all stages, the evenest of those as good; [] for none."""
    best = _start(tables)
    choices = []
    for table in tables:
        ways = best[:, None] + table * (1 + table * (_EVEN / scale))
        choices.append(ways.argmin(axis=0))
        best = ways.min(axis=0)
    return _traced(choices) if np.isfinite(best[-1]) else []


def _evenest(tables: Sequence[_Floats]) -> list[int]:
    """Return the borders with the shortest longest stage; [] for none."""
    best = _start(tables)
    choices = []
    for table in tables:
        ways = np.maximum(best[:, None], table)
        choices.append(ways.argmin(axis=0))
        best = ways.min(axis=0)
    return _traced(choices) if np.isfinite(best[-1]) else []


def _start(tables: Sequence[_Floats]) -> _Floats:
    best = np.full(len(tables[0]), np.inf)
    best[0] = 0.0
    return best


def _traced(choices: Sequence[NDArray[np.int64]]) -> list[int]:
    borders = [len(choices[0]) - 1]
    for choice in reversed(choices):
        borders.append(int(choice[borders[-1]]))
    return borders[::-1]


def _rooms(need: Footprint, stages: Sequence[Space]) -> list[int]:
    """Return the bytes of blocks that each stage can hold: the first and the last one have something beside them."""
    rooms = [space.free - fixed_bytes(need, space) for space in stages]
    rooms[-1] -= need.output_copy + need.logits
    rooms[0] -= need.attached + (0 if stages[0].device.is_gpu else need.embedding)
    return rooms


@lru_cache(maxsize=64)
def _work_between(passage: Passage) -> tuple[_Floats, _Floats]:
    """Return the bytes read, infinitely many for no blocks, and the operations between all blocks."""
    read, operations = _between(passage.read), _between(passage.operations)
    read[np.tri(len(read), dtype=bool)] = np.inf
    return read, operations


@lru_cache(maxsize=64)
def _bytes_between(weights: tuple[int, ...], kv: tuple[int, ...]) -> _Floats:
    """Return the bytes held between all blocks."""
    return _between(list(accumulate((weight + cache for weight, cache in zip(weights, kv, strict=True)), initial=0)))


def _between(sums: Sequence[float]) -> _Floats:
    """Return from prefix sums the sum from each entry (rows) to before each other one."""
    values = np.array(sums, dtype=np.float64)
    return values[None, :] - values[:, None]
