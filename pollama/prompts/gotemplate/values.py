"""Go's values as a template sees them.

Python's bool, int, float, complex and str stand for Go's bool, int, float64, complex128 and string, a list for
``[]interface {}`` and a dict for ``map[string]interface {}``; the classes here are the rest. A str carries bytes
that are not UTF-8 as surrogate escapes, because Go counts, cuts and prints bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pollama.types import gojson
from pollama.types.json import Json

Value: TypeAlias = Any
"""Any of the values described above, INVALID, or one of the classes below."""


class _Invalid:
    """No value at all: an untyped nil."""

    def __repr__(self) -> str:
        return "<no value>"


INVALID: Final = _Invalid()


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """A value of type ``interface {}``, as maps and untyped lists hold them; ``value`` None = nil."""

    value: Value


class Byte(int):
    """A Go ``uint8``."""


@dataclass(slots=True, eq=False)
class Slice:
    """A list with a typed element. ``text`` is its String method; ``is_nil`` tells ``null`` from ``[]``."""

    type_name: str
    items: Sequence[Value]
    is_nil: bool = False
    text: Callable[[], str] | None = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A map from string with a String method; ``zero`` is what it has under a missing key.

    The values are of type ``interface {}`` where ``zero`` is None.
    """

    type_name: str
    entries: dict[str, Value] | None
    zero: Struct | None
    text: Callable[[], str]
    json: Callable[[], Json]


@dataclass(slots=True, eq=False)
class Struct:
    """A struct. ``json`` gives its JSON where that is not the object of its fields."""

    type_name: str
    fields: dict[str, Value]
    methods: dict[str, Callable[[], Value]] = field(default_factory=dict)
    json: Callable[[], Json] | None = None

    @property
    def text(self) -> Callable[[], str] | None:
        """The String method, if there is one."""
        return self.methods.get("String")


@dataclass(frozen=True, slots=True, eq=False)
class Pointer:
    """A pointer to a struct."""

    target: Struct


Container: TypeAlias = list[Value] | Slice
_BASIC: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    Byte: "uint8",
    float: "float64",
    complex: "complex128",
    str: "string",
    bytes: "api.ImageData",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    Boxed: "interface {}",
}


def type_name(value: Value) -> str:
    """Return the name of a value's type as Go prints it."""
    if isinstance(value, (Slice, Mapping, Struct)):
        return value.type_name
    if isinstance(value, Pointer):
        return f"*{value.target.type_name}"
    return _BASIC.get(type(value), "func()")


def unbox(value: Value) -> Value:
    """Return what an interface holds; INVALID for a nil interface."""
    if isinstance(value, Boxed):
        return INVALID if value.value is None else value.value
    return value


def dereference(value: Value) -> Value:
    """Return what interfaces and pointers lead to; INVALID for a nil interface."""
    value = unbox(value)
    return value.target if isinstance(value, Pointer) else value


def is_nil(value: Value) -> bool:
    """Tell whether a value is nil."""
    if isinstance(value, Boxed):
        return value.value is None
    if isinstance(value, Slice):
        return value.is_nil
    if isinstance(value, Mapping):
        return value.entries is None
    return value is INVALID


def truth(value: Value) -> bool:
    """Return Go's truth: zero and empty values are false, a struct is true."""
    value = unbox(value)
    if isinstance(value, Slice):
        return bool(value.items)
    if isinstance(value, Mapping):
        return bool(value.entries)
    if isinstance(value, (Struct, Pointer)):
        return True
    return value is not INVALID and bool(value)


def length(value: Value) -> int | None:
    """Return the length of a list, map or string (in bytes), or None where the value has no length."""
    if isinstance(value, str):
        return len(to_bytes(value))
    if isinstance(value, Slice):
        return len(value.items)
    if isinstance(value, Mapping):
        return len(value.entries or ())
    return len(value) if isinstance(value, (list, dict, bytes)) else None


def element(value: Value, index: int) -> Value:
    """Return one element of a list or one byte of a string. Raises IndexError."""
    if isinstance(value, str):
        return Byte(to_bytes(value)[index])
    if isinstance(value, Slice):
        return value.items[index]
    return Byte(value[index]) if isinstance(value, bytes) else Boxed(value[index])


def entry(value: Value, key: str) -> Value:
    """Return what a map has under ``key``; the zero value of its type where it has nothing."""
    if isinstance(value, dict):
        return Boxed(value.get(key))
    found = (value.entries or {}).get(key, value.zero)
    return found if value.zero else Boxed(found)


def sorted_entries(value: Value) -> list[tuple[str, Value]]:
    """Return the entries of a map in the order in which Go visits them."""
    entries = value if isinstance(value, dict) else value.entries or {}
    boxed = isinstance(value, dict) or not value.zero
    return [(key, Boxed(entries[key]) if boxed else entries[key]) for key in sorted(entries, key=to_bytes)]


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text, surrogate escapes resolved."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Return bytes as text, with surrogate escapes for what is not UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def from_json(value: Json) -> Value:
    """Return a decoded JSON value as Go holds it: every number is a float64."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    return [from_json(item) for item in value]


def to_json(value: Value) -> str:
    """Return a value as Go's JSON. Raises ValueError for what JSON cannot carry."""
    return gojson.dumps(_plain(value))


def _plain(value: Value) -> Json:
    if isinstance(value, Boxed):
        return _plain(value.value)
    if isinstance(value, Pointer):
        return _plain(value.target)
    if isinstance(value, Struct):
        return value.json() if value.json else {key: _plain(item) for key, item in value.fields.items()}
    if isinstance(value, Slice):
        return None if value.is_nil else [_plain(item) for item in value.items]
    if isinstance(value, Mapping):
        return value.json()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        raise ValueError("json: unsupported type: complex128")
    return None if value is INVALID else value
