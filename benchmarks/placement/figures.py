"""From what was measured in a cell to what it says about the planner. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.placement.cells import AUTO

GOOD: Final = 0.9
"""The share of the best static layout that a choice shall reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One layout of a cell: tokens/s of each round, what was predicted for what was loaded, and where that was."""

    speeds: tuple[float, ...]
    predicted: float
    loaded: str

    @property
    def speed(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.speeds)

    @property
    def error(self) -> float:
        """How far the prediction was off, as a share of what was measured; above 0: too high."""
        return self.predicted / self.speed - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A model on a set of devices under a load, with the outcome of every layout that was possible."""

    model: str
    devices: str
    clients: int
    outcomes: Mapping[str, Outcome]

    @property
    def auto(self) -> Outcome:
        """What the planner chose."""
        return self.outcomes[AUTO]

    @property
    def best(self) -> str:
        """The name of the fastest static layout."""
        static = [name for name in self.outcomes if name != AUTO]
        return max(static, key=lambda name: self.outcomes[name].speed)

    @property
    def share(self) -> float:
        """What the choice reached of the best static layout: the median of the rounds."""
        best = self.outcomes[self.best].speeds
        return statistics.median(mine / other for mine, other in zip(self.auto.speeds, best, strict=True))

    @property
    def share_as_planned(self) -> float:
        """The same for the layout that was chosen: what loads equally is one layout, by all of its runs. Less noise."""
        runs: dict[str, list[float]] = {}
        for outcome in self.outcomes.values():
            runs.setdefault(outcome.loaded, []).extend(outcome.speeds)
        static = {outcome.loaded for name, outcome in self.outcomes.items() if name != AUTO}
        return statistics.mean(runs[self.auto.loaded]) / max(statistics.mean(runs[loaded]) for loaded in static)

    def record(self) -> dict[str, Any]:
        """Return the cell as it is kept."""
        return {**asdict(self), "best": self.best, "share": self.share, "share_as_planned": self.share_as_planned}


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How far predictions were off: absolute shares of what was measured.

    ``scale`` is the median of measured over predicted; ``scaled`` the median error once it is taken out: what choosing
    between layouts depends on.
    """

    median: float
    worst: float
    scale: float
    scaled: float


def errors(outcomes: Sequence[Outcome]) -> Errors:
    """Return the errors of the predictions of some layouts."""
    found = [abs(outcome.error) for outcome in outcomes]
    scale = statistics.median(outcome.speed / outcome.predicted for outcome in outcomes)
    return Errors(
        median=statistics.median(found),
        worst=max(found),
        scale=scale,
        scaled=statistics.median(abs(scale * outcome.predicted / outcome.speed - 1) for outcome in outcomes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What all cells say together, the errors over all layouts of all cells."""

    cells: int
    good: float
    good_as_planned: float
    errors: Errors


def summary(cells: Sequence[Cell]) -> Summary:
    """Return the shares of good choices and the errors of predictions."""
    return Summary(
        cells=len(cells),
        good=statistics.mean(cell.share >= GOOD for cell in cells),
        good_as_planned=statistics.mean(cell.share_as_planned >= GOOD for cell in cells),
        errors=errors([outcome for cell in cells for outcome in cell.outcomes.values()]),
    )
