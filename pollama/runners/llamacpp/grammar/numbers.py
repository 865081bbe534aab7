"""Grammars of bounded numbers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

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


def decimal_range(low: Decimal | None, high: Decimal | None, *, above: bool, below: bool) -> str:
    """Return an expression for the decimal numbers between two bounds (None: no bound).

    ``above`` and ``below`` leave the bounds themselves out. Uses the shared rule ``digits``. Never empty.
    """
    zero = Decimal(0)
    parts = []
    if low is None or low < 0:
        nearest = zero if high is None or high >= 0 else -high
        negative = _magnitudes(nearest, None if low is None else -low, above=below and high == -nearest, below=above)
        parts.append(f'"-" ({negative})')
    if high is None or high > 0 or (high == 0 and not below):
        is_above = above and low is not None and low >= 0
        parts.append(_magnitudes(max(low or zero, zero), high, above=is_above, below=below))
    return " | ".join(parts)


def _magnitudes(low: Decimal, high: Decimal | None, *, above: bool, below: bool) -> str:
    """Return an expression for the decimals from ``low`` >= 0 to ``high``."""
    first, low_fraction = _split(low)
    last, high_fraction = (None, "") if high is None else _split(high)
    if first == last:
        return _with_fraction(first, low_fraction, high_fraction, above=above, below=below)
    parts = [_with_fraction(first, low_fraction, None, above=above)]
    if last is None:
        parts.append(f'({_whole_range(first + 1, None)}) ("." digits)?')
    elif first + 1 < last:
        parts.append(f'({_whole_range(first + 1, last - 1)}) ("." digits)?')
    if last is not None:
        parts.append(_with_fraction(last, "", high_fraction, below=below))
    return " | ".join(filter(None, parts))


def _split(value: Decimal) -> tuple[int, str]:
    """Return the whole part and the digits behind the point."""
    whole, _, fraction = f"{value:f}".partition(".")
    return int(whole), fraction.rstrip("0")


def _with_fraction(whole: int, low: str, high: str | None, *, above: bool = False, below: bool = False) -> str:
    """Return an expression for the decimals with a whole part and a fraction from 0.``low`` to 0.``high``."""
    fraction = _fraction(low, high, above=above, below=below, may_be_empty=False)
    is_whole = not (low or above) and (high != "" or not below)
    point = f' "." ({fraction})' if fraction else ""
    if not (point or is_whole):
        return ""
    return f'"{whole}"{f" ({point.strip()})?" if point and is_whole else point}'


def _fraction(low: str, high: str | None, *, above: bool, below: bool, may_be_empty: bool = True) -> str:
    """Return an expression for the digits of fractions from 0.``low`` to 0.``high`` (None: to 1); "" where none is.

    Digit by digit: between the digits of the bounds all that follows is free, at one of them the rest of it counts.
    """
    if not low and high is None:
        zeros = f'"0"{{0,{MOST_DIGITS}}} [1-9] '
        return f"{zeros if above else ''}[0-9]{{{0 if above or may_be_empty else 1},{MOST_DIGITS}}}"
    if not low and not high:
        return "" if above or below else f'"0"{{{0 if may_be_empty else 1},{MOST_DIGITS}}}'
    parts = ['""'] if may_be_empty and not low and not above else []
    first, last = low[:1] or "0", "9" if high is None else high[:1] or "0"
    if first == last:
        inside = _fraction(low[1:], None if high is None else high[1:], above=above, below=below)
        return " | ".join([*parts, *([f'"{first}" ({inside})'] if inside else [])])
    parts.append(f'"{first}" ({_fraction(low[1:], None, above=above, below=False)})')
    free = range(int(first) + 1, int(last) + (high is None))
    if free:
        parts.append(f"{_digit(str(free[0]), str(free[-1]))} [0-9]{{0,{MOST_DIGITS}}}")
    if high is not None and (at_high := _fraction("", high[1:], above=False, below=below)):
        parts.append(f'"{last}" ({at_high})')
    return " | ".join(parts)
