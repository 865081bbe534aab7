"""The values of Go's constants: strings, characters and numbers as they are written in a template."""

from __future__ import annotations

import re
from typing import Final

_SIMPLE: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_MAX_INT: Final = 2**63 - 1
_MAX_UINT: Final = 2**64 - 1


def unquote(source: str) -> str:
    """Return the text of a quoted or raw string constant. Raises ValueError ``invalid syntax``."""
    body = source[1:-1]
    if source[0] == "`":
        return body.replace("\r", "")
    data = bytearray()
    position = 0
    while position < len(body):
        piece, position = _next_character(body, position, '"')
        data += piece if isinstance(piece, bytes) else _encode(piece)
    return data.decode("utf-8", "surrogateescape")


def character_code(source: str) -> int:
    """Return the code point of a character constant. Raises ValueError with Go's text."""
    body = source[1:]
    if body.startswith("'"):
        raise ValueError("invalid syntax")
    piece, end = _next_character(body, 0, "'")
    if body[end:] != "'":
        raise ValueError(f"malformed character constant: {source}")
    return piece[0] if isinstance(piece, bytes) else ord(piece)


def _next_character(body: str, position: int, quote: str) -> tuple[str | bytes, int]:
    """Return the character at ``position`` (bytes for a byte escape) and the position behind it."""
    if body[position] != "\\":
        return body[position], position + 1
    match = _ESCAPE.match(body, position)
    if not match:
        raise ValueError("invalid syntax")
    byte, short, long, octal, simple = match.groups()
    if byte or octal:
        return _byte(int(byte, 16) if byte else int(octal, 8)), match.end()
    if short or long:
        return _code_point(int(short or long, 16)), match.end()
    if simple in _SIMPLE:
        return chr(_SIMPLE[simple]), match.end()
    if simple == quote:
        return quote, match.end()
    raise ValueError("invalid syntax")


def _byte(value: int) -> bytes:
    if value > 255:
        raise ValueError("invalid syntax")
    return bytes([value])


def _code_point(value: int) -> str:
    if value > 0x10FFFF or 0xD800 <= value < 0xE000:
        raise ValueError("invalid syntax")
    return chr(value)


def _encode(character: str) -> bytes:
    return character.encode("utf-8", "surrogateescape")


def number(source: str) -> int | float | complex | OverflowError:
    """Return what a number constant means where no type is asked for.

    An integer beyond Go's ``int`` but not beyond 64 bits is an OverflowError value: it only fails when it is used.
    Raises ValueError with Go's text.
    """
    if source.endswith("i"):
        imaginary = _float(source[:-1])
        if imaginary is not None:
            return complex(0, imaginary)
    integer = _integer(source)
    if integer is not None:
        return integer
    value = _float(source)
    if value is None:
        raise ValueError(f'illegal number syntax: "{source}"')
    if not set(".eEpP") & set(source):
        raise ValueError(f'integer overflow: "{source}"')
    return value


def complex_number(source: str) -> complex:
    """Return the value of a constant such as ``1+2i``. Raises ValueError with Go's text."""
    split = max(source.rfind("+"), source.rfind("-"))
    real, imaginary = _float(source[:split]), _float(source[split:-1])
    if real is None or imaginary is None:
        raise ValueError("syntax error scanning complex number")
    return complex(real, imaginary)


def _integer(source: str) -> int | OverflowError | None:
    unsigned = source.lstrip("+-")
    octal = re.fullmatch(r"0_?[0-7]+(_[0-7]+)*", unsigned)
    try:
        magnitude = int(unsigned, 8 if octal else 0)
    except ValueError:
        return None
    value = -magnitude if source.startswith("-") else magnitude
    if -_MAX_INT - 1 <= value <= _MAX_INT:
        return value
    if value <= _MAX_UINT and unsigned == source:
        return OverflowError(f"{source} overflows int")
    return None


def _float(source: str) -> float | None:
    try:
        value = float.fromhex(source) if "p" in source.lower() else float(source)
    except (ValueError, OverflowError):
        return None
    return None if value in (float("inf"), float("-inf")) else value
