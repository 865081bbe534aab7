"""Values that a model writes as bare text, read by the type that the tool declares."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from pollama.prompts.parsers.arguments import load_json
from pollama.prompts.spaces import trim
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolProperty

Reader: TypeAlias = Callable[[str], Json]

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HEX_NUMBER: Final = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_SEPARATOR: Final = re.compile(r"(?<=[0-9a-fA-FxX])_(?=[0-9a-fA-F])")
_MAX_INTEGER: Final = 2**63


class _NoMatchError(Exception):
    """The text is no value of the type."""


def declared_property(tools: Sequence[Tool], function: str, parameter: str) -> ToolProperty | None:
    """Return what a tool declares of a parameter."""
    for tool in tools:
        if tool.name == function:
            return (tool.parameters.properties or {}).get(parameter)
    return None


def typed_block(text: str, declared: ToolProperty | None) -> Json:
    """Return what ``typed_value`` does for a text where one line feed at each end does not count."""
    return typed_value(text.removeprefix("\n").removesuffix("\n"), declared)


def typed_value(text: str, declared: ToolProperty | None) -> Json:
    """Return the value of ``text`` under its declared types; what fits none of them stays text.

    ``null`` in any case is None whatever was declared; a sole boolean that is neither true nor false is false.
    """
    if trim(text).lower() == "null":
        return None
    types = _types(declared)
    for name, read in _READERS.items():
        if name in types:
            try:
                return read(text)
            except _NoMatchError:
                continue
    return False if types == {"boolean"} else text


def _types(declared: ToolProperty | None) -> set[str]:
    if declared is None:
        return set()
    pooled = {name for alternative in declared.any_of for name in alternative.type}
    return {*declared.type, *pooled}


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _NoMatchError
    return text.lower() == "true"


def _integer(text: str) -> int:
    value = parse_integer(text)
    if value is None:
        raise _NoMatchError
    return value


def _number(text: str) -> int | float:
    value = parse_number(text)
    if value is None:
        raise _NoMatchError
    return value


def parse_integer(text: str) -> int | None:
    """Return a decimal 64-bit integer; None for anything else."""
    if not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -_MAX_INTEGER <= value < _MAX_INTEGER else None


def parse_number(text: str) -> int | float | None:
    """Return a finite number in the notation of Go, an integral one as integer; None for anything else."""
    digits = _SEPARATOR.sub("", text)
    read = float.fromhex if _HEX_NUMBER.fullmatch(digits) else float if _NUMBER.fullmatch(digits) else None
    try:
        value = read(digits) if read else math.inf
    except OverflowError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _MAX_INTEGER else value


def _json_of(kind: type) -> Reader:
    def read(text: str) -> Json:
        try:
            value = load_json(text)
        except ValueError:
            raise _NoMatchError from None
        if not isinstance(value, kind):
            raise _NoMatchError
        return sorted_maps(value)

    return read


_READERS: Final[dict[str, Reader]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _json_of(list),
    "object": _json_of(dict),
}
"""Type -> reader, in the order in which the types of a parameter are tried."""
