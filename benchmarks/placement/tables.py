"""The tables of the grid and of the borders, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.placement.figures import GOOD, Cell, Errors, Summary
from benchmarks.serve.tables import table

_HEAD: Final = (
    "model",
    "devices",
    "clients",
    "best static layout, tok/s",
    "chosen, tok/s",
    "chosen / best",
    "chosen layout / best",
    "predicted, tok/s",
)


def grid(cells: Sequence[Cell]) -> str:
    """Return a row per cell."""
    return table(_HEAD, map(_row, cells))


def _row(cell: Cell) -> list[str]:
    best = cell.outcomes[cell.best]
    return [
        cell.model,
        cell.devices,
        str(cell.clients),
        f"{cell.best}: {best.speed:.0f}",
        f"{cell.auto.loaded}: {cell.auto.speed:.0f}",
        f"{cell.share:.2f}",
        f"{cell.share_as_planned:.2f}",
        f"{cell.auto.predicted:.0f}",
    ]


def layouts(cells: Sequence[Cell]) -> str:
    """Return predicted and measured tokens/s of every layout."""
    return table(("model", "devices", "clients", "predicted / measured tok/s"), _details(cells))


def _details(cells: Sequence[Cell]) -> Iterator[list[str]]:
    for cell in cells:
        figures = (f"{name} {of.predicted:.0f} / {of.speed:.0f}" for name, of in cell.outcomes.items())
        yield [cell.model, cell.devices, str(cell.clients), "; ".join(figures)]


def summed(of: Summary) -> str:
    """Return the summary."""
    rows = [
        [f"cells in which the choice reached {GOOD:.0%} of the best", f"{of.good:.0%} of {of.cells}"],
        ["the same by all runs of equal layouts", f"{of.good_as_planned:.0%}"],
        *off(of.errors),
    ]
    return table(["", ""], rows)


def off(by: Errors) -> list[list[str]]:
    """Return the rows that tell how far predictions were off."""
    return [
        ["prediction error, median", f"{by.median:.0%}"],
        ["prediction error, worst", f"{by.worst:.0%}"],
        ["measured / predicted, median", f"{by.scale:.2f}"],
        ["prediction error without that factor, median", f"{by.scaled:.0%}"],
    ]
