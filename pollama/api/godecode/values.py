"""Bytes to Python values with Go's reading of JSON: literals kept, repeated keys kept, bad UTF-8 replaced."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from pollama.api.godecode.errors import DecodeError, EmptyBodyError
from pollama.types.gosyntax import EndOfText, JsonSyntaxError, check_document, find_error
from pollama.types.json import Json

_EXACT: Final = 2**53
_SPACES: Final = " \t\r\n"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Literal(float):
    """A number that a small int cannot stand for: ``text`` is how it was written."""

    text: str

    def __new__(cls, text: str) -> Literal:
        """Read the literal; what is out of range becomes infinite."""
        literal = super().__new__(cls, text)
        literal.text = text
        return literal


class Members(dict[str, Json]):
    """An object with repeated keys: as a dict the last ones, ``pairs`` all of them in order."""

    pairs: list[tuple[str, Json]]


def members_of(value: dict[str, Json]) -> list[tuple[str, Json]]:
    """Return all members of an object in document order, repeated ones included."""
    return value.pairs if isinstance(value, Members) else list(value.items())


def parse_first(body: bytes) -> Json:
    """Return the first value of ``body``. Raises EmptyBodyError or DecodeError with the stream decoder's texts."""
    text = _text(body)
    start = len(text) - len(text.lstrip(_SPACES))
    if start == len(text):
        raise EmptyBodyError
    if text[start] in "{[":
        try:
            return _clean(_DECODER.raw_decode(text, start)[0], text)
        except (ValueError, RecursionError):
            pass
    try:
        end = find_error(body)
    except EndOfText:
        raise DecodeError("unexpected EOF") from None
    except JsonSyntaxError as error:
        raise DecodeError(str(error)) from None
    return _parse_valid(body[:end])


def parse_document(data: bytes) -> Json:
    """Return the one value that ``data`` consists of. Raises DecodeError with the texts of Go's ``Unmarshal``."""
    try:
        check_document(data)
    except JsonSyntaxError as error:
        raise DecodeError(str(error)) from None
    return _parse_valid(data)


def _parse_valid(data: bytes) -> Json:
    """Return the value of a text whose syntax has been checked."""
    text = _text(data)
    try:
        return _clean(_DECODER.decode(text), text)
    except RecursionError:
        raise DecodeError("exceeded max depth") from None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "pollama-replace-bytes")


def _replace_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("pollama-replace-bytes", _replace_bytes)


def _clean(value: Json, text: str) -> Json:
    """Replace lone surrogates, which only escapes can bring in."""
    return _without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def _without_surrogates(value: Json) -> Json:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return _object([(_without_surrogates(key), _without_surrogates(item)) for key, item in members_of(value)])
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    members = Members(value)
    members.pairs = pairs
    return members


def _integer(text: str) -> int | Literal:
    # Long digit strings do not go through int(): Python limits them, and Go reads them as floats anyway.
    if len(text) > 16 or text == "-0":
        return Literal(text)
    value = int(text)
    return value if -_EXACT <= value <= _EXACT else Literal(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=Literal, parse_constant=_refuse
)
