"""How many layers each stage gets: by measured speed, under memory limits. Pure.

The stages stand in ascending order of speed, the output with the last one, and are filled from there. With one batch
under way the time of a pass is the sum of all stages: the fastest get as much as they can hold. With as many groups
under way as stages, the slowest stage sets the pace: all get the same time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

from pollama.scheduler.costs import Passage
from pollama.scheduler.estimate import Footprint
from pollama.scheduler.fitting import Space, fixed_bytes
from pollama.scheduler.speeds import Speed

_HALVINGS: Final = 24
_EQUAL: Final = 1.001
"""Two splits of which one takes less than so many times as long as the other are as good."""


class BySpeed:
    """An ``Apportion`` for the least time of ``passage`` with ``groups`` of it under way; each stage gets a layer."""

    def __init__(self, passage: Passage, speeds: Mapping[str, Speed], groups: int = 1) -> None:
        self._passage = passage
        self._speeds = speeds
        self._groups = groups

    def __call__(self, need: Footprint, first: int, stages: Sequence[Space]) -> list[int]:
        """Return where each stage's blocks begin, and the end; nothing for any of them where they do not fit."""
        filling = _Filling(self._passage, [self._speeds[space.device.id] for space in stages], need, first, stages)
        full = filling.within(float("inf"))
        if full is None:
            return [first] * (len(stages) + 1)
        if self._groups == 1 and not self._are_equal(stages):
            return full
        even = self._even(filling, full)
        return even if self._seconds(filling, even) <= self._seconds(filling, full) * _EQUAL else full

    def _are_equal(self, stages: Sequence[Space]) -> bool:
        """Tell whether it is all the same with one batch under way which stage has more layers."""
        speeds = [self._speeds[space.device.id] for space in stages]
        slowest, fastest = min(speed.bandwidth for speed in speeds), max(speed.bandwidth for speed in speeds)
        least, most = min(speed.compute for speed in speeds), max(speed.compute for speed in speeds)
        return fastest <= _EQUAL * slowest and most <= _EQUAL * least

    def _even(self, filling: _Filling, full: list[int]) -> list[int]:
        """Return the split with the shortest longest stage, by bisection."""
        best, low, high = full, 0.0, max(filling.seconds(full))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            found = filling.within(middle)
            if found is None:
                low = middle
            else:
                best, high = found, middle
        return best

    def _seconds(self, filling: _Filling, borders: list[int]) -> float:
        stages = filling.seconds(borders)
        return max(sum(stages), self._groups * max(stages))


class _Filling:
    """Stages that are filled from the last one on."""

    def __init__(
        self, passage: Passage, speeds: Sequence[Speed], need: Footprint, first: int, stages: Sequence[Space]
    ) -> None:
        self._passage = passage
        self._speeds = speeds
        self._first = first
        self._bytes = list(accumulate(map(sum, zip(need.weights, need.kv, strict=True)), initial=0))
        self._room = [space.free - fixed_bytes(need, space) for space in stages]
        self._room[-1] -= need.output_copy + need.logits
        self._room[0] -= need.attached + (0 if stages[0].device.is_gpu else need.embedding)

    def seconds(self, borders: Sequence[int]) -> list[float]:
        """Return how long each stage takes for a pass."""
        spans = zip(self._speeds, pairwise(borders), strict=True)
        return [self._passage.seconds(speed, begin, end) for speed, (begin, end) in spans]

    def within(self, limit: float) -> list[int] | None:
        """Return the borders where each stage, from the last on, has as much as it holds and does in ``limit``."""
        end = len(self._bytes) - 1
        borders = [end]
        for stage in reversed(range(len(self._room))):
            begin = max(self._first + stage, self._begin(stage, end, limit))
            if begin >= end:
                return None
            end = begin
            borders.append(end)
        return borders[::-1] if end == self._first else None

    def _begin(self, stage: int, end: int, limit: float) -> int:
        """Return the first block that a stage can take when its last one is before ``end``."""
        speed, read, operations = self._speeds[stage], self._passage.read, self._passage.operations
        begin = bisect_left(self._bytes, self._bytes[end] - self._room[stage])
        if limit == float("inf"):
            return begin
        by_reading = bisect_left(read, read[end] - limit * speed.bandwidth)
        return max(begin, by_reading, bisect_left(operations, operations[end] - limit * speed.compute))
