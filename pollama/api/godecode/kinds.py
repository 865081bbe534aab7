"""The Go types of request fields: what each accepts, what it makes of it, and how it words a mismatch.

The rules are those of Go's ``encoding/json``: a mismatch is noted, decoding goes on, and the first one noted is
reported at the end; a custom decoder's error ends everything at once and so wins over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pollama.api.godecode.base64 import decode_base64
from pollama.api.godecode.errors import DecodeError
from pollama.api.godecode.place import Kind, Place, json_kind
from pollama.api.godecode.unread import Ignored
from pollama.api.godecode.values import Literal, members_of
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json

_FOLDED: Final = str.maketrans({"\u017f": "s", "\u212a": "k"})
_INT_BITS: Final = 64


def decode_value(kind: Kind, value: Json) -> Any:
    """Decode a parsed JSON value. Raises DecodeError, also where it is nested too deeply to be looked through."""
    at = Place()
    try:
        decoded = _decode_nullable(kind, value, at)
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    if at.error is not None:
        raise at.error
    return decoded


def untyped_name(value: Json) -> str:
    """Return Go's name for the type that an untyped JSON value has in memory."""
    if value is None:
        return "<nil>"
    return {"number": "float64", "array": "[]interface {}", "object": "map[string]interface {}"}.get(
        json_kind(value), json_kind(value)
    )


def _decode_nullable(kind: Kind, value: Json, at: Place) -> Any:
    return kind.zero() if value is None and not isinstance(kind, Custom) else kind.decode(value, at)


@dataclass(frozen=True, slots=True)
class String:
    """A Go string."""

    go_type: str = "string"

    def zero(self) -> str:
        """Return the empty string."""
        return ""

    def decode(self, value: Json, at: Place) -> str:
        """Accept strings only."""
        if isinstance(value, str):
            return value
        at.mismatch(value, self.go_type)
        return ""


@dataclass(frozen=True, slots=True)
class Bool:
    """A Go bool."""

    go_type: str = "bool"

    def zero(self) -> bool:
        """Return false."""
        return False

    def decode(self, value: Json, at: Place) -> bool:
        """Accept booleans only."""
        if isinstance(value, bool):
            return value
        at.mismatch(value, self.go_type)
        return False


@dataclass(frozen=True, slots=True)
class Int:
    """A Go integer: only integer literals in its range."""

    go_type: str = "int"
    low: int = -(2 ** (_INT_BITS - 1))
    high: int = 2 ** (_INT_BITS - 1) - 1

    def zero(self) -> int:
        """Return 0."""
        return 0

    def decode(self, value: Json, at: Place) -> int:
        """Accept a number whose literal is an integer in range."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            at.mismatch(value, self.go_type)
            return 0
        text = value.text if isinstance(value, Literal) else str(value)
        number = int(text) if text.lstrip("-").isdigit() and len(text) <= 20 else None
        if number is None or not self.low <= number <= self.high:
            at.unsuitable(text, self.go_type)
            return 0
        return number


@dataclass(frozen=True, slots=True)
class Float:
    """A Go float64."""

    go_type: str = "float64"

    def zero(self) -> float:
        """Return 0."""
        return 0.0

    def decode(self, value: Json, at: Place) -> float:
        """Accept any number in range."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            at.mismatch(value, self.go_type)
            return 0.0
        return _finite(value, at)


@dataclass(frozen=True, slots=True)
class Untyped:
    """A Go ``any``: numbers are 64-bit floats, objects are maps and so lose their key order."""

    go_type: str = "interface {}"

    def zero(self) -> None:
        """Return null."""

    def decode(self, value: Json, at: Place) -> Json:
        """Accept everything."""
        return sorted_maps(_plain(value, at))


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that Go keeps as text (``json.RawMessage``): anything, key order kept."""

    go_type: str = "json.RawMessage"

    def zero(self) -> None:
        """Return null."""

    def decode(self, value: Json, at: Place) -> Json:
        """Accept everything."""
        return _plain(value, Place())


@dataclass(frozen=True, slots=True)
class Bytes:
    """A Go byte slice, written in base64 (or as a list of numbers, which Go accepts as well)."""

    go_type: str = "[]uint8"

    def zero(self) -> bytes:
        """Return no bytes."""
        return b""

    def decode(self, value: Json, at: Place) -> bytes:
        """Accept base64 with padding."""
        if isinstance(value, list):
            return bytes(_BYTE_LIST.decode(value, at))
        if not isinstance(value, str):
            at.mismatch(value, self.go_type)
            return b""
        try:
            return decode_base64(value)
        except DecodeError as error:
            at.note(error)
            return b""


@dataclass(frozen=True, slots=True)
class List:
    """A Go slice."""

    item: Kind
    go_type: str = ""

    def __post_init__(self) -> None:
        if not self.go_type:
            object.__setattr__(self, "go_type", f"[]{self.item.go_type}")

    def zero(self) -> None:
        """Return null: a nil slice."""

    def decode(self, value: Json, at: Place) -> list[Any]:
        """Accept arrays."""
        if isinstance(value, list):
            return [_decode_nullable(self.item, item, at) for item in value]
        at.mismatch(value, self.go_type)
        return []


@dataclass(frozen=True, slots=True)
class Map:
    """A Go map with string keys."""

    item: Kind
    go_type: str = ""

    def __post_init__(self) -> None:
        if not self.go_type:
            object.__setattr__(self, "go_type", f"map[string]{self.item.go_type}")

    def zero(self) -> None:
        """Return null: a nil map."""

    def decode(self, value: Json, at: Place) -> dict[str, Any]:
        """Accept objects."""
        if isinstance(value, dict):
            return {key: _decode_nullable(self.item, item, at) for key, item in members_of(value)}
        at.mismatch(value, self.go_type)
        return {}


@dataclass(frozen=True, slots=True)
class Struct:
    """A Go struct. ``name`` is its bare name ("" for an anonymous one), ``package`` what errors put in front.

    Decodes to a dict of the fields that were given and not null, by their names in ``fields``.
    """

    name: str
    fields: Mapping[str, Kind]
    package: str = "api"
    _folded: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_folded", {_fold(name): name for name in self.fields})

    @property
    def go_type(self) -> str:
        """The qualified name."""
        return f"{self.package}.{self.name}"

    def zero(self) -> dict[str, Any]:
        """Return a struct without any field set."""
        return {}

    def decode(self, value: Json, at: Place) -> dict[str, Any]:
        """Accept objects; keys are matched without regard to case, unknown and ignored ones are skipped."""
        if not isinstance(value, dict):
            at.mismatch(value, self.go_type)
            return {}
        outer = at.struct, at.path
        decoded: dict[str, Any] = {}
        for key, item in members_of(value):
            name = key if key in self.fields else self._folded.get(_fold(key))
            if name is not None:
                at.struct, at.path = self.name, (*outer[1], name)
                self._set(decoded, name, item, at)
        at.struct, at.path = outer
        return decoded

    def _set(self, decoded: dict[str, Any], name: str, item: Json, at: Place) -> None:
        kind = self.fields[name]
        takes_null = isinstance(kind, Raw) or (isinstance(kind, Custom) and not kind.pointer)
        if item is not None or takes_null:
            value = kind.decode(item, at)
            if not isinstance(kind, Ignored):
                decoded[name] = value
        elif not isinstance(kind, (String, Bool, Int, Float)):
            decoded.pop(name, None)


@dataclass(frozen=True, slots=True)
class Custom:
    """A type that decodes itself: ``convert`` gets the plain JSON value (null included).

    What it raises ends the decoding of the whole document. With ``body``, the value is first decoded as that kind,
    on its own, as Go's custom decoders do with an alias of their type.
    """

    go_type: str
    convert: Callable[[Any], Any]
    body: Kind | None = None
    pointer: bool = False
    """A field of a pointer type is unset by null instead of being handed it."""

    def zero(self) -> Any:
        """Return what null decodes to."""
        return self.decode(None, Place())

    def decode(self, value: Json, at: Place) -> Any:
        """Hand the value to ``convert``. Raises DecodeError."""
        try:
            return self.convert(value if self.body is None else decode_value(self.body, value))
        except DecodeError as error:
            raise at.located(error) from None


_BYTE_LIST: Final = List(Int("uint8", 0, 255), "[]uint8")


def _fold(key: str) -> str:
    return key.lower().translate(_FOLDED)


def _finite(value: float, at: Place) -> float:
    number = float(value)
    if math.isinf(number):
        at.unsuitable(value.text if isinstance(value, Literal) else str(value), "float64")
    return number


def _plain(value: Json, at: Place) -> Json:
    """Return ``value`` with ordinary numbers and dicts; a number out of range is noted in ``at``."""
    if isinstance(value, Literal):
        return _finite(value, at)
    if isinstance(value, list):
        return [_plain(item, at) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, at) for key, item in members_of(value)}
    return value
