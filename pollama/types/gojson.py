"""JSON as Go's ``encoding/json`` writes it, byte for byte, so that equal models get equal digests.

No white space, ``<``, ``>``, ``&``, U+2028 and U+2029 escaped, other text raw, numbers in Go's shortest form.
A dict is written in its own order (a Go struct); ``sorted_maps`` gives the order of a Go map.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from array import array
from collections.abc import Callable, Iterable
from decimal import Decimal
from json.encoder import encode_basestring as _quote_plain
from typing import Final

from pollama.types.json import Json

_ESCAPED: Final = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def dumps(value: Json) -> str:
    """Return ``value`` as compact JSON without a final line feed (Go's ``Marshal``).

    ``bytes`` become base64 text, an ``array('f')`` numbers of 32-bit precision.
    Raises ValueError for NaN and infinities, TypeError for what JSON cannot carry.
    """
    return _encode(value)


def dump_line(value: Json) -> bytes:
    """Return ``value`` as UTF-8 JSON with a final line feed (Go's ``Encoder``)."""
    return (_encode(value) + "\n").encode()


def sorted_maps(value: Json) -> Json:
    """Return a copy of ``value`` with the keys of every object sorted by their bytes, as Go writes maps."""
    if isinstance(value, dict):
        return {key: sorted_maps(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [sorted_maps(item) for item in value]
    return value


def quote(text: str) -> str:
    """Return ``text`` as a JSON string; lone surrogates, which stand for invalid UTF-8, become ``\\ufffd``."""
    quoted = _quote_plain(text)
    if quoted.isascii() and "<" not in quoted and ">" not in quoted and "&" not in quoted:
        return quoted
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match.group(), "\\ufffd"), quoted)


def number(value: float) -> str:
    """Return a finite float as Go writes a float64: plain notation from 1e-6 up to 1e21, else an exponent.

    Raises ValueError for NaN and infinities.
    """
    if not math.isfinite(value):
        raise ValueError(f"json: unsupported value: {_GO_SPECIALS[repr(value)]}")
    text = repr(value)
    if "e" not in text:
        return text.removesuffix(".0")
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(text):f}"
    digits, exponent = text.split("e")
    return f"{digits}e{exponent[0]}{exponent[1:].lstrip('0')}"


def printed(value: float) -> str:
    """Return a float as Go's ``%v`` prints it: with an exponent from 1e6 on and below 1e-4 (``1e+06``, ``1e-05``)."""
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        return _GO_SPECIALS[repr(float(value))]
    exponent = exact.adjusted() if value else 0
    if -4 <= exponent < 6:
        return f"{exact:f}".removesuffix(".0")
    digits = "".join(map(str, exact.as_tuple().digits)).rstrip("0")
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{'-' if value < 0 else ''}{digits[0]}{fraction}e{exponent:+03d}"


def shortest_float32(values: Iterable[float]) -> list[float]:
    """Return for each 32-bit value the float whose digits are the fewest that still identify that value.

    Writing the results as 64-bit numbers then gives the text that Go writes for a float32 (0.1, not
    0.10000000149011612).
    """
    singles = array("f", values)
    return [_shortest(single) for single in singles]


_GO_SPECIALS: Final = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
_SINGLE: Final = struct.Struct("f")


def _shortest(single: float) -> float:
    for digits in range(6, 9):
        candidate = float(f"{single:.{digits}g}")
        if _is_single(candidate, single):
            return candidate
    return float(f"{single:.9g}")


def _is_single(candidate: float, single: float) -> bool:
    try:
        return bool(_SINGLE.unpack(_SINGLE.pack(candidate))[0] == single)
    except OverflowError:
        return False


def _encode(value: Json) -> str:
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    for kind, writer in _WRITERS.items():
        if isinstance(value, kind):
            return writer(value)
    raise TypeError(f"json: unsupported type: {type(value).__name__}")


def _object(value: dict[str, Json]) -> str:
    return "{" + ",".join([f"{quote(key)}:{_encode(item)}" for key, item in value.items()]) + "}"


def _array(value: Iterable[Json]) -> str:
    return "[" + ",".join([_encode(item) for item in value]) + "]"


def _binary(value: bytes) -> str:
    return f'"{base64.b64encode(value).decode()}"'


def _singles(value: array[float]) -> str:
    return _array(shortest_float32(value))


_WRITERS: Final[dict[type, Callable[[Json], str]]] = {
    str: quote,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: number,
    type(None): lambda _: "null",
    dict: _object,
    list: _array,
    tuple: _array,
    bytes: _binary,
    array: _singles,
}
