"""Finds the first syntax error of a JSON text and words it as Go's scanner does.

Only texts that Python's own parser has refused come here, so this favours exactness over speed.
"""

from __future__ import annotations

import contextlib
import re
from typing import Final, NoReturn

from pollama.types.goquote import go_quote

MAX_DEPTH: Final = 10_000
"""Objects and arrays may be nested this deeply."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_PLAIN_TEXT: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_ESCAPABLE: Final = frozenset(b'bfnrt\\/"')
_LITERALS: Final = {ord("t"): "true", ord("f"): "false", ord("n"): "null"}


class JsonSyntaxError(ValueError):
    """The first wrong character of a text, in Go's words."""


class EndOfText(Exception):  # noqa: N818 - not a failure by itself: the caller knows what the end means
    """The text ends inside a value."""


def _character(byte: int) -> str:
    """Return a byte as Go's errors show it: quoted, as the character of that number."""
    if byte == ord("'"):
        return r"'\''"
    if byte == ord('"'):
        return "'\"'"
    return f"'{go_quote(chr(byte))[1:-1]}'"


def find_error(data: bytes) -> int:
    """Return the offset behind the first value of ``data``.

    Raises JsonSyntaxError for the first wrong character, or EndOfText.
    """
    return _Scanner(data).value()


def check_document(data: bytes) -> None:
    """Check that ``data`` is one value and nothing else. Raises JsonSyntaxError in the words of Go's ``Unmarshal``."""
    try:
        end = find_error(data)
    except EndOfText:
        _check_end(data)
        raise JsonSyntaxError("unexpected end of JSON input") from None
    rest = data[end:].lstrip(b" \t\r\n")
    if rest:
        raise JsonSyntaxError(f"invalid character {_character(rest[0])} after top-level value")


def _check_end(data: bytes) -> None:
    """Give the scanner a space, as Go does to find out whether a value may end there."""
    with contextlib.suppress(EndOfText):
        find_error(data + b" ")


class _Scanner:
    """Walks over one value, keeping open brackets on a list instead of the stack."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._open: list[int] = []
        self._just_opened = False

    def value(self) -> int:
        """Walk over the first value and return the offset behind it."""
        self._begin_value()
        while self._open:
            self._continue()
        return self._at

    def _begin_value(self) -> None:
        byte = self._next_visible()
        if byte in b"{[":
            self._enter(byte)
        elif byte == ord('"'):
            self._string()
        elif byte in b"-0123456789":
            self._number()
        elif byte in _LITERALS:
            self._literal(_LITERALS[byte])
        else:
            self._fail("looking for beginning of value")

    def _enter(self, bracket: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._fail("exceeded max depth")
        self._open.append(bracket)
        self._just_opened = True
        self._at += 1

    def _continue(self) -> None:
        """Go on inside an object or an array: behind its bracket or behind a finished value."""
        byte = self._next_visible()
        in_object = self._open[-1] == ord("{")
        first, self._just_opened = self._just_opened, False
        if byte == (ord("}") if in_object else ord("]")):
            self._leave()
        elif first or byte == ord(","):
            self._at += not first
            self._member() if in_object else self._begin_value()
        else:
            self._fail("after object key:value pair" if in_object else "after array element")

    def _leave(self) -> None:
        self._open.pop()
        self._at += 1

    def _member(self) -> None:
        if self._next_visible() != ord('"'):
            self._fail("looking for beginning of object key string")
        self._string()
        if self._next_visible() != ord(":"):
            self._fail("after object key")
        self._at += 1
        self._begin_value()

    def _string(self) -> None:
        self._at += 1
        while True:
            self._skip(_PLAIN_TEXT)
            byte = self._byte()
            if byte == ord('"'):
                break
            if byte != ord("\\"):
                self._fail("in string literal")
            self._at += 1
            self._escape()
        self._at += 1

    def _escape(self) -> None:
        byte = self._byte()
        if byte != ord("u") and byte not in _ESCAPABLE:
            self._fail("in string escape code")
        self._at += 1
        if byte == ord("u"):
            for _ in range(4):
                if self._byte() not in _HEX:
                    self._fail("in \\u hexadecimal character escape")
                self._at += 1

    def _number(self) -> None:
        if self._byte() == ord("-"):
            self._at += 1
        if self._byte() == ord("0"):
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._peek() == ord("."):
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._peek() in (ord("e"), ord("E")):
            self._at += 1
            if self._byte() in b"+-":
                self._at += 1
            self._digits("in exponent of numeric literal")

    def _digits(self, where: str) -> None:
        if self._byte() not in b"0123456789":
            self._fail(where)
        self._skip(_DIGITS)

    def _literal(self, word: str) -> None:
        for expected in word:
            if self._byte() != ord(expected):
                self._fail(f"in literal {word} (expecting '{expected}')")
            self._at += 1

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        match = pattern.match(self._data, self._at)
        if match:
            self._at = match.end()

    def _next_visible(self) -> int:
        self._skip(_SPACE)
        return self._byte()

    def _peek(self) -> int:
        return self._data[self._at] if self._at < len(self._data) else -1

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise EndOfText
        return self._data[self._at]

    def _fail(self, where: str) -> NoReturn:
        raise JsonSyntaxError(f"invalid character {_character(self._data[self._at])} {where}")
