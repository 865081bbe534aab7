"""From what the load generator saw to figures, and from the figures of several rounds to medians."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.serve.load import Answer, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a server used: seconds of processor time (``front``: of the process that speaks HTTP), peak bytes."""

    front_seconds: float
    seconds: float
    front_bytes: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement. Times are seconds, NaN where nothing was to be measured.

    ``first`` is the time to the first token, ``gap`` the time between two tokens of an answer.
    """

    tokens_per_second: float
    prefill_per_second: float
    first_p50: float
    first_p95: float
    first_p99: float
    gap_p50: float
    gap_p99: float
    front_per_token: float
    processor_per_token: float
    front_bytes: int
    bytes: int
    answers: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all values do not exceed (nearest rank); NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def tokens_between(window: Window, begin: float, end: float) -> float:
    """Return the tokens that came from ``begin`` to ``end``: records, times the tokens per record of whole answers."""
    whole = [answer for answer in window.answers if answer.counts]
    records = sum(len(answer.arrivals) for answer in whole)
    per_record = sum(answer.counts.tokens for answer in whole if answer.counts) / records if records else 1.0
    came = sum(begin <= at < end for answer in window.answers for at in answer.arrivals)
    return came * per_record


def first_times(window: Window) -> list[float]:
    """Return the seconds to the first token of each answer that began to come in the window."""
    return [
        answer.arrivals[0] - answer.sent
        for answer in window.answers
        if answer.arrivals and window.begin <= answer.arrivals[0] < window.end
    ]


def gaps(window: Window) -> list[float]:
    """Return the seconds between tokens that came in the window."""
    return [
        later - earlier
        for answer in window.answers
        for earlier, later in itertools.pairwise(answer.arrivals)
        if window.begin <= earlier and later < window.end
    ]


def _prefill(answers: Sequence[Answer]) -> float:
    """Return the median of prompt tokens per second until the first token: the speed of prefill for one client."""
    speeds = [
        answer.counts.prompt_tokens / (answer.arrivals[0] - answer.sent)
        for answer in answers
        if answer.counts and answer.arrivals
    ]
    return percentile(speeds, 0.5)


def figures(window: Window, usage: Usage) -> Figures:
    """Return the figures of a window; ``usage`` is what was used since its start."""
    first, between = first_times(window), gaps(window)
    all_tokens = tokens_between(window, window.start, math.inf)
    counted = tokens_between(window, window.begin, window.end)
    return Figures(
        tokens_per_second=counted / (window.end - window.begin),
        prefill_per_second=_prefill(window.answers),
        first_p50=percentile(first, 0.5),
        first_p95=percentile(first, 0.95),
        first_p99=percentile(first, 0.99),
        gap_p50=percentile(between, 0.5),
        gap_p99=percentile(between, 0.99),
        front_per_token=usage.front_seconds / all_tokens if all_tokens else math.nan,
        processor_per_token=usage.seconds / all_tokens if all_tokens else math.nan,
        front_bytes=usage.front_bytes,
        bytes=usage.bytes,
        answers=sum(answer.counts is not None for answer in window.answers),
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise; NaN values (nothing was measured) count for nothing."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls(math.nan, math.nan, math.nan)
        return cls(statistics.median(known), min(known), max(known))


Round = Mapping[str, float | None]
"""Figures as they are kept in JSON; None where nothing was to be measured."""


def kept(measured: Figures) -> Round:
    """Return figures as they are kept."""
    return {name: None if math.isnan(value) else value for name, value in asdict(measured).items()}


def spread(rounds: Sequence[Round], name: str) -> Spread:
    """Return the spread of one figure over rounds."""
    return Spread.of([_known(values[name]) for values in rounds])


def ratio(ours: Sequence[Round], theirs: Sequence[Round], name: str) -> Spread:
    """Return the spread of the ratios of one figure, round by round: what slowed both is not in it."""
    pairs = [(_known(mine[name]), _known(other[name])) for mine, other in zip(ours, theirs, strict=True)]
    return Spread.of([mine / other if other else math.nan for mine, other in pairs])


def _known(value: float | None) -> float:
    return math.nan if value is None else value
