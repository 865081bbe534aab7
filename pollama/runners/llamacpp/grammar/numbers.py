"""Grammars of bounded numbers."""

from __future__ import annotations

from collections.abc import Iterator

MOST_DIGITS = 16


def integer_range(low: int | None, high: int | None) -> str:
    """Return an expression for the decimal integers from ``low`` to ``high`` (None: no bound). Never empty."""
    parts = []
    if low is None or low < 0:
        nearest = 1 if high is None or high >= 0 else -high
        parts.append(f'"-" ({_whole_range(nearest, None if low is None else -low)})')
    if high is None or high >= 0:
        parts.append(_whole_range(max(low or 0, 0), high))
    return " | ".join(parts)


def _whole_range(low: int, high: int | None) -> str:
    """Return an expression for the integers from ``low`` >= 0 to ``high``."""
    if high is not None:
        return " | ".join(_bounded(str(low), str(high)))
    longest = max(MOST_DIGITS, len(str(low)) + 1)
    limit = "9" * len(str(low))
    return " | ".join([*_bounded(str(low), limit), f"[1-9] [0-9]{{{len(limit)},{longest - 1}}}"])


def _bounded(low: str, high: str) -> Iterator[str]:
    """Yield alternatives that together are the integers from ``low`` to ``high``, by number of digits."""
    for digits in range(len(low), len(high) + 1):
        first = low if digits == len(low) else "1" + "0" * (digits - 1)
        last = high if digits == len(high) else "9" * digits
        if int(first) <= int(last):
            yield _same_length(first, last)


def _same_length(low: str, high: str) -> str:
    """Return an expression for the strings of digits from ``low`` to ``high``, all of one length."""
    if not low:
        return ""
    rest = len(low) - 1
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return f"{_digit(low[0], high[0])} {_digits(rest)}".strip()
    if low[0] == high[0]:
        return f"{_digit(low[0], low[0])} {_group(_same_length(low[1:], high[1:]))}".strip()
    parts = [f"{_digit(low[0], low[0])} {_group(_same_length(low[1:], '9' * rest))}"]
    if int(high[0]) - int(low[0]) > 1:
        between = _digit(str(int(low[0]) + 1), str(int(high[0]) - 1))
        parts.append(f"{between} {_digits(rest)}")
    parts.append(f"{_digit(high[0], high[0])} {_group(_same_length('0' * rest, high[1:]))}")
    return " | ".join(part.strip() for part in parts)


def _digit(low: str, high: str) -> str:
    return f"[{low}]" if low == high else f"[{low}-{high}]"


def _digits(count: int) -> str:
    return f"[0-9]{{{count}}}" if count else ""


def _group(expression: str) -> str:
    return f"({expression})" if "|" in expression else expression


def decimal_range(low: int | None, high: int | None, *, above: bool, below: bool) -> str:
    """Return an expression for the decimal numbers between two whole bounds (None: no bound).

    ``above`` and ``below`` leave the bounds themselves out. Uses the shared rule ``digits``. Never empty.
    """
    parts = []
    if low is None or low < 0:
        nearest = 0 if high is None or high >= 0 else -high
        negative = _magnitudes(nearest, None if low is None else -low, above=below and high == -nearest, below=above)
        parts.append(f'"-" ({negative})')
    if high is None or high > 0 or (high == 0 and not below):
        parts.append(_magnitudes(max(low or 0, 0), high, above=above and low is not None and low >= 0, below=below))
    return " | ".join(parts)


def _magnitudes(low: int, high: int | None, *, above: bool, below: bool) -> str:
    """Return an expression for the decimals from ``low`` >= 0 to ``high``."""
    parts = []
    if above:
        parts.append(f'"{low}" "." [0-9]{{0,{MOST_DIGITS - 1}}} [1-9]')
    first = low + 1 if above else low
    if high is None:
        parts.append(f'({_whole_range(first, None)}) ("." digits)?')
    elif first < high:
        parts.append(f'({_whole_range(first, high - 1)}) ("." digits)?')
    if high is not None and not below:
        parts.append(f'"{high}" ("." "0"{{1,{MOST_DIGITS}}})?')
    return " | ".join(parts)
