"""Measures the answers of one replica as they arrive."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from pollama.types.speed import Percentiles, Speed

_SAMPLES: Final = 1024
"""So many of the last times are kept."""
_WINDOW: Final = 60
"""Seconds that the throughput is taken over."""


class Meter:
    """Counts tokens and times; ``clock`` gives monotonic seconds. Costs a few instructions per token."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._requests = 0
        self._first: deque[float] = deque(maxlen=_SAMPLES)
        self._between: deque[float] = deque(maxlen=_SAMPLES)
        self._seconds: deque[tuple[int, int]] = deque(maxlen=_WINDOW)

    def begin(self) -> Answer:
        """Begin to measure one answer; its request goes out now."""
        self._requests += 1
        return Answer(self, self._clock())

    def read(self) -> Speed:
        """Return what was measured."""
        now = self._clock()
        tokens = sum(count for second, count in self._seconds if second > now - _WINDOW)
        span = min(float(_WINDOW), max(1.0, now - self._started))
        return Speed(
            throughput=tokens / span,
            first_token=percentiles(self._first),
            token=percentiles(self._between),
            requests=self._requests,
        )

    def note(self, since: float, tokens: int, *, is_first: bool) -> float:
        """Record that ``tokens`` have arrived ``since`` a moment; return the time now."""
        now = self._clock()
        if is_first:
            self._first.append(now - since)
        elif tokens:
            self._between.append((now - since) / tokens)
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            tokens += self._seconds.pop()[1]
        self._seconds.append((second, tokens))
        return now


class Answer:
    """One answer on its way."""

    __slots__ = ("_began", "_last", "_meter")

    def __init__(self, meter: Meter, asked: float) -> None:
        self._meter = meter
        self._last = asked
        self._began = False

    def arrived(self, tokens: int) -> None:
        """Tell that so many tokens have come."""
        self._last = self._meter.note(self._last, tokens, is_first=not self._began)
        self._began = True


def percentiles(samples: Iterable[float]) -> Percentiles:
    """Return the percentiles of ``samples`` by the nearest rank."""
    ordered = sorted(samples)
    if not ordered:
        return Percentiles()
    p50, p95, p99 = (ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.5, 0.95, 0.99))
    return Percentiles(p50=p50, p95=p95, p99=p99)
