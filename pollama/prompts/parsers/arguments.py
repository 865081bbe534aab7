"""Arguments of tool calls: JSON that a model wrote, read as Go reads it."""

from __future__ import annotations

import json
from typing import Final, NoReturn

from pollama.types.json import Json

_EXACT: Final = 2**53
"""Integers below this are the same as 64-bit floats."""


def load_json(text: str) -> Json:
    """Return a JSON value whose numbers have gone through a 64-bit float. Raises ValueError."""
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


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
