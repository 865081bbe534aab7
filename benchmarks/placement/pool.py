"""Puts several runs of the grid together: a machine with noise needs more than one, and each takes long.

python -m benchmarks.placement.pool RUN.json [RUN.json ...]

What was loaded equally is one layout, and its speed the median of all that ran. The choice is what the planner's rule
takes from the predictions of the last run. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.placement.figures import GOOD, Outcome, errors
from benchmarks.placement.tables import off
from benchmarks.serve.tables import table
from pollama.scheduler.planner import DIVIDED

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PooledCell:
    """A model on a set of devices under a load, with all layouts that ran."""

    title: tuple[str, str, str]
    layouts: Sequence[Outcome]

    @property
    def chosen(self) -> Outcome:
        """What the planner's rule takes."""
        return max(self.layouts, key=_promise)

    @property
    def best(self) -> Outcome:
        """What was fastest."""
        return max(self.layouts, key=lambda layout: layout.speed)

    @property
    def share(self) -> float:
        """What the choice reached of the best."""
        return self.chosen.speed / self.best.speed


def _promise(layout: Outcome) -> float:
    """Return what the planner makes of a prediction."""
    return layout.predicted * (DIVIDED if set(layout.loaded) & set("+>") else 1.0)


def pooled(runs: Sequence[Sequence[Record]]) -> list[PooledCell]:
    """Return the cells of runs of the same grid."""
    return [_pooled(cells) for cells in zip(*runs, strict=True)]


def _pooled(cells: Sequence[Record]) -> PooledCell:
    titles = {(str(cell["model"]), str(cell["devices"]), str(cell["clients"])) for cell in cells}
    if len(titles) > 1:
        raise ValueError(f"the runs are not of one grid: {sorted(titles)}")
    speeds: dict[str, list[float]] = {}
    predicted: dict[str, float] = {}
    for cell in cells:
        for outcome in cell["outcomes"].values():
            name = shape(outcome["loaded"])
            speeds.setdefault(name, []).extend(outcome["speeds"])
            predicted[name] = outcome["predicted"]
    layouts = [Outcome(speeds=tuple(of), predicted=predicted[name], loaded=name) for name, of in speeds.items()]
    return PooledCell(titles.pop(), layouts)


def shape(loaded: str) -> str:
    """Return what was loaded without the numbers of layers, which follow the measured speeds, in one order."""
    for sign in (", ", " > ", "+"):
        if sign in loaded:
            return sign.join(sorted(part.split(" ")[0] for part in loaded.split(sign)))
    return loaded


def tables(cells: Sequence[PooledCell]) -> str:
    """Return a row per cell, and what all say together."""
    rows = (
        [
            *cell.title,
            f"{cell.best.loaded}: {cell.best.speed:.0f}",
            f"{cell.chosen.loaded}: {cell.chosen.speed:.0f}",
            f"{cell.share:.2f}",
            f"{cell.chosen.predicted:.0f}",
        ]
        for cell in cells
    )
    head = ("model", "devices", "clients", "best, tok/s", "chosen, tok/s", "chosen / best", "predicted, tok/s")
    return f"{table(head, rows)}\n\n{table(['', ''], _summed(cells))}"


def _summed(cells: Sequence[PooledCell]) -> list[list[str]]:
    good = sum(cell.share >= GOOD for cell in cells)
    return [
        [f"cells in which the choice reached {GOOD:.0%} of the best", f"{good} of {len(cells)}"],
        ["chosen / best, mean", f"{statistics.mean(cell.share for cell in cells):.2f}"],
        *off(errors([layout for cell in cells for layout in cell.layouts])),
    ]


def main() -> None:
    """Print the tables of the runs that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = [json.loads(path.read_text(encoding="utf-8"))["cells"] for path in parser.parse_args().runs]
    print(tables(pooled(runs)))


if __name__ == "__main__":
    main()
