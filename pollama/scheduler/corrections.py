"""How far predictions were off, by model and layout: what was expected over what it took. Pure.

A layout that has not run yet is taken to be off as the others of its model were on average, so that only layouts that
both have run are told apart by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from statistics import fmean
from typing import Final, TypeAlias

from pollama.scheduler.speeds import NO_LINKS, Links
from pollama.scheduler.state import ModelKey
from pollama.types.multigpu import Strategy
from pollama.types.plans import Plan

_NEWEST: Final = 0.3
"""Weight of the newest measurement in the smoothed factor."""
_MOST: Final = 8.0
"""No prediction is corrected by more than this factor: what is off by more was measured under other conditions."""

_Layout: TypeAlias = tuple[Strategy, tuple[str, ...]]


class Corrections:
    """Factors for predicted speeds."""

    def __init__(self) -> None:
        self._logs: dict[ModelKey, dict[_Layout, float]] = {}

    def learn(self, model: ModelKey, plan: Plan, *, expected: float, taken: float) -> None:
        """Take note that what was expected to take so many seconds took so many."""
        newest = max(-log(_MOST), min(log(_MOST), log(expected / taken)))
        known = self._logs.setdefault(model, {})
        old = known.get(_layout(plan), newest)
        known[_layout(plan)] = old + _NEWEST * (newest - old)

    def factor(self, model: ModelKey, plan: Plan) -> float:
        """Return what the predicted speed of a plan has to be multiplied with."""
        known = self._logs.get(model)
        return exp(known.get(_layout(plan), fmean(known.values()))) if known else 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """What has been measured beside the devices themselves."""

    links: Links = NO_LINKS
    corrections: Corrections = field(default_factory=Corrections)


NOTHING: Final = Known()


def _layout(plan: Plan) -> _Layout:
    return plan.strategy, tuple(share.device for share in plan.shares if share.layers)
