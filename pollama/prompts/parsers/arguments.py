"""Arguments of tool calls: JSON that a model wrote, read as Go reads it."""

from __future__ import annotations

import json
from typing import Final, NoReturn

from pollama.types.gojson import sorted_maps
from pollama.types.gosyntax import check_document
from pollama.types.json import Json

_EXACT: Final = 2**53
"""Integers below this are the same as 64-bit floats."""


def load_json(text: str) -> Json:
    """Return a JSON value whose numbers have gone through a 64-bit float. Raises ValueError."""
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def parse_json(text: str) -> Json:
    """Return a JSON value as ``load_json`` does. Raises ValueError in the words of Go."""
    check_document(text.encode("utf-8", "replace"))
    return load_json(text)


def parse_arguments(text: str) -> dict[str, Json] | None:
    """Return arguments as a call carries them: ``null`` is None. Raises ValueError in the words of Go."""
    return as_arguments(parse_json(text))


def as_arguments(value: Json) -> dict[str, Json] | None:
    """Return a JSON value as arguments: their own order is kept, objects inside them are sorted.

    Raises ValueError, in the words of Ollama's decoder, for anything but an object or null.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("Value looks like object, but can't find closing '}' symbol")
    return {key: sorted_maps(item) for key, item in value.items()}


def load_object(text: str) -> dict[str, Json] | None:
    """Return a JSON object, or None where ``text`` is not one."""
    try:
        value = load_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _integer(text: str) -> int | float:
    return _number(text) if len(text) > 15 else int(text)


def _number(text: str) -> int | float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"number {text} is out of range")
    return int(value) if value.is_integer() and 0 < abs(value) < _EXACT else value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
