"""Borderless tables in Ollama's layout: padded columns, four blanks between them, long cells wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from wcwidth import wcswidth

GAP: Final = " " * 4
CELL_WIDTH: Final = 30
"""Columns after which a cell is wrapped, unless the table says otherwise."""
_FILLER: Final = "  "


def width_of(text: str) -> int:
    """Return the columns that ``text`` takes on a terminal."""
    return max(wcswidth(text), 0)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with a header line. The header ends in one blank, every row in a gap."""
    widths = column_widths([header, *rows])
    return GAP.join(_padded(header, widths)) + " \n" + "".join(map(_Layout(widths).line, rows))


def section(title: str, rows: Sequence[Sequence[str]], limit: int = CELL_WIDTH) -> str:
    """Return a titled block of rows, followed by a blank line; cells wider than ``limit`` are wrapped."""
    wrapped = [wrap_row(("", *row), limit) for row in rows]
    lines = [line for row in wrapped for line in row]
    layout = _Layout(column_widths(lines))
    return f"  {title}\n{''.join(map(layout.line, lines))}\n"


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column over all rows. What fills a column beside a wrapped cell does not count."""
    return [
        max(0 if cell == _FILLER else width_of(cell) for cell in column) for column in zip_longest(*rows, fillvalue="")
    ]


class _Layout:
    def __init__(self, widths: Sequence[int]) -> None:
        self._widths = widths

    def line(self, cells: Sequence[str]) -> str:
        return "".join(f"{cell}{GAP}" for cell in _padded(cells, self._widths)) + "\n"


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    blanks = [""] * (len(widths) - len(cells))
    return [cell + " " * (width - width_of(cell)) for cell, width in zip((*cells, *blanks), widths, strict=True)]


def wrap_row(cells: Sequence[str], limit: int) -> list[tuple[str, ...]]:
    """Return the lines of a row; cells that have fewer lines than the longest one go on as blanks."""
    wrapped = [wrap(cell, limit) for cell in cells]
    height = max(map(len, wrapped))
    return list(zip(*(lines + [_FILLER] * (height - len(lines)) for lines in wrapped), strict=True))


def wrap(text: str, limit: int) -> list[str]:
    """Break ``text`` at blanks into lines of at most ``limit`` columns, as even as can be.

    The breaks minimise the sum of squared remainders of all lines but the last. A word longer than ``limit`` raises it.
    """
    if width_of(text) <= limit:
        return [text]
    words = text.split()
    sizes = [width_of(word) for word in words]
    breaks = _best_breaks(sizes, max(limit, *sizes))
    lines, start = [], 0
    while start < len(words):
        lines.append(" ".join(words[start : breaks[start]]))
        start = breaks[start]
    return lines


def _best_breaks(sizes: Sequence[int], limit: int) -> list[int]:
    """Return for each word that begins a line the word that begins the next one."""
    count = len(sizes)
    cost = [0] * (count + 1)
    following = [count] * count
    for start in reversed(range(count)):
        if _line_width(sizes, start, count) <= limit:
            continue
        ends = [end for end in range(start + 1, count) if _line_width(sizes, start, end) <= limit]
        costs = [(limit - _line_width(sizes, start, end)) ** 2 + cost[end] for end in ends]
        cost[start] = min(costs)
        following[start] = ends[costs.index(cost[start])]
    return following


def _line_width(sizes: Sequence[int], start: int, end: int) -> int:
    return sum(sizes[start:end]) + end - start - 1
