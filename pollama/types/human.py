"""Sizes, counts and times as people read them, in the exact wording of Ollama and Go.

Durations are integers of nanoseconds throughout.
"""

from __future__ import annotations

from typing import Final

MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

_DECIMAL_UNITS: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
_BINARY_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_UNITS: Final = {
    "ns": 1,
    "us": MICROSECOND,
    "\u00b5s": MICROSECOND,
    "\u03bcs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_LIMIT: Final = 1 << 63


def human_bytes(count: int) -> str:
    """Return a byte count in decimal units with at most two digits of precision below ten: ``4.7 GB``, ``42 GB``."""
    for size, unit in _DECIMAL_UNITS:
        if count >= size:
            value = count / size
            exact = value >= 10 or value.is_integer()
            return f"{int(value)} {unit}" if exact else f"{value:.1f} {unit}"
    return f"{count} B"


def human_bytes_binary(count: int) -> str:
    """Return a byte count in binary units, as logs show it: ``1.5 MiB``."""
    for size, unit in _BINARY_UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def human_number(count: int) -> str:
    """Return a parameter count: ``8.0B``, ``7B``, ``311.89M``, ``609K``."""
    if count >= 10**9:
        value, digits, unit = count / 10**9, 1, "B"
    elif count >= 10**6:
        value, digits, unit = count / 10**6, 2, "M"
    elif count >= 1000:
        value, digits, unit = count / 1000, 0, "K"
    else:
        return str(count)
    return f"{value:.{0 if value.is_integer() else digits}f}{unit}"


def human_duration(nanoseconds: int) -> str:
    """Return a duration in words: seconds, minutes and years cut off, hours rounded, days to months from those."""
    if nanoseconds < SECOND:
        return "Less than a second"
    if nanoseconds < MINUTE:
        seconds = nanoseconds // SECOND
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if nanoseconds < HOUR:
        minutes = nanoseconds // MINUTE
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    return _long_duration((nanoseconds + HOUR // 2) // HOUR, nanoseconds // HOUR)


def _long_duration(rounded_hours: int, whole_hours: int) -> str:
    if rounded_hours == 1:
        return "About an hour"
    for limit, hours, unit in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if rounded_hours < limit:
            return f"{rounded_hours // hours} {unit}"
    return f"{whole_hours // 8760} years"


def human_time(age: int | None, zero: str) -> str:
    """Return how long ago a moment was, or how far ahead it is when ``age`` (nanoseconds) is negative.

    ``age`` None is the zero time, for which the answer is ``zero``. More than twenty years ahead is ``Forever``.
    """
    if age is None:
        return zero
    if age < 0:
        return "Forever" if -age // (8760 * HOUR) > 20 else f"{human_duration(-age)} from now"
    return f"{human_duration(age)} ago"


def format_duration(nanoseconds: int) -> str:
    """Return a duration in Go's notation: ``1m30s``, ``1.5s``, ``23.456ms``, ``0s``."""
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < SECOND:
        return sign + _short_duration(rest)
    minutes, rest = divmod(rest, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return f"{sign}{text}{_decimal(rest, SECOND)}s"


def _short_duration(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return "0s"
    for size, unit in ((MILLISECOND, "ms"), (MICROSECOND, "\u00b5s")):
        if nanoseconds >= size:
            return f"{_decimal(nanoseconds, size)}{unit}"
    return f"{nanoseconds}ns"


def _decimal(value: int, unit: int) -> str:
    """Return ``value / unit`` (``unit`` a power of ten) exactly, without trailing zeros."""
    whole, fraction = divmod(value, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration in Go's notation (``1h30m``, ``-1.5s``, ``0``).

    Raises ValueError with Go's text.
    """
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise _invalid(text)
    while rest:
        nanoseconds, rest = _parse_term(rest, text)
        total += nanoseconds
        if total > _LIMIT:
            raise _invalid(text)
    if total > _LIMIT - 1 and not negative:
        raise _invalid(text)
    return -total if negative else total


def _parse_term(rest: str, text: str) -> tuple[int, str]:
    """Read one number with its unit off the front of ``rest``; ``text`` is the whole input, for errors."""
    whole, rest = _leading(rest, _DIGITS)
    fraction = ""
    if rest.startswith("."):
        fraction, rest = _leading(rest[1:], _DIGITS)
    if not whole and not fraction:
        raise _invalid(text)
    unit, rest = _leading(rest, "")
    if not unit:
        raise ValueError(f"time: missing unit in duration {_quoted(text)}")
    if unit not in _UNITS:
        raise ValueError(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
    if int(whole or "0") > _LIMIT // _UNITS[unit]:
        raise _invalid(text)
    return int(whole or "0") * _UNITS[unit] + _fraction_of(fraction, _UNITS[unit]), rest


_DIGITS: Final = "0123456789"


def _leading(text: str, wanted: str) -> tuple[str, str]:
    """Split off the leading characters that are in ``wanted``; empty = up to the next digit or point."""
    end = 0
    while end < len(text) and (text[end] in wanted if wanted else text[end] not in f"{_DIGITS}."):
        end += 1
    return text[:end], text[end:]


def _fraction_of(digits: str, unit: int) -> int:
    """Return the nanoseconds of ``0.digits`` units, computed in doubles from at most 63 bits of digits as Go does."""
    value, scale = 0, 1.0
    for digit in digits:
        if value > (_LIMIT - 1) // 10 or value * 10 + int(digit) > _LIMIT:
            break
        value, scale = value * 10 + int(digit), scale * 10
    return int(float(value) * (float(unit) / scale)) if value else 0


def _invalid(text: str) -> ValueError:
    return ValueError(f"time: invalid duration {_quoted(text)}")


def _quoted(text: str) -> str:
    """Quote as Go's time package does: bytes outside printable ASCII as ``\\xhh``."""
    data = text.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return '"' + "".join(chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}" for byte in data) + '"'
