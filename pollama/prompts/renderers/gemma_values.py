"""Values as the Gemma function formats write them: keys sorted and bare, strings within a quoting token."""

from __future__ import annotations

from typing import Final

from pollama.prompts.renderers.values import go_text
from pollama.types.json import Json

_INT64: Final = 1 << 63


def gemma_value(value: Json, quote: str, null: str) -> str:
    """Return a value; ``quote`` stands on either side of a string, ``null`` stands for null."""
    if value is None:
        return null
    if isinstance(value, str):
        return quote + value + quote
    if isinstance(value, dict):
        return f"{{{gemma_members(value, quote, null)}}}"
    if isinstance(value, list):
        return f"[{','.join(gemma_value(item, quote, null) for item in value)}]"
    return go_text(value) if isinstance(value, bool) else _number(float(value))


def gemma_members(members: dict[str, Json], quote: str, null: str) -> str:
    """Return the members of an object without its braces."""
    return ",".join(f"{key}:{gemma_value(members[key], quote, null)}" for key in sorted(members))


def _number(value: float) -> str:
    """Return a whole number that a 64-bit integer holds with all its digits, any other one as ``%v``."""
    if value.is_integer() and -_INT64 <= value < _INT64:
        return str(int(value))
    return go_text(value)
