"""JSON as Go's ``encoding/json`` reads it, with its error texts.

``syntax.py`` finds what is wrong with a text, ``values.py`` turns bytes into Python values, ``kinds.py`` checks those
values against the types that a request declares, ``place.py`` keeps track of where that is, and ``unread.py`` holds the
kinds of fields that are not acted on. A schema is a tree of kinds; ``decode_body`` and ``unmarshal`` are
the two ways in.
"""

from __future__ import annotations

from typing import Any

from pollama.api.godecode.errors import DecodeError, EmptyBodyError, TypeMismatchError
from pollama.api.godecode.kinds import (
    Bool,
    Bytes,
    Custom,
    Float,
    Int,
    List,
    Map,
    Raw,
    String,
    Struct,
    Untyped,
    decode_value,
    untyped_name,
)
from pollama.api.godecode.place import Kind
from pollama.api.godecode.unread import Ignored, Refused
from pollama.api.godecode.values import parse_document, parse_first

__all__ = [
    "Bool",
    "Bytes",
    "Custom",
    "DecodeError",
    "EmptyBodyError",
    "Float",
    "Ignored",
    "Int",
    "Kind",
    "List",
    "Map",
    "Raw",
    "Refused",
    "String",
    "Struct",
    "TypeMismatchError",
    "Untyped",
    "decode_body",
    "decode_value",
    "unmarshal",
    "untyped_name",
]


def decode_body(kind: Kind, body: bytes) -> Any:
    """Decode the first JSON value of ``body``; what follows it is ignored.

    Raises EmptyBodyError where there is no value, DecodeError with Go's text for everything else.
    """
    return decode_value(kind, parse_first(body))


def unmarshal(kind: Kind, data: bytes | str) -> Any:
    """Decode ``data``, which must be exactly one JSON value. Raises DecodeError with Go's text."""
    return decode_value(kind, parse_document(data.encode() if isinstance(data, str) else data))
