"""Values of tools and tool calls as the built-in renderers write them: Go's JSON in three layouts, and Go's ``%v``."""

from __future__ import annotations

import re
from typing import Final

from pollama.types.gojson import dumps, printed, sorted_maps
from pollama.types.json import Json

_STRING_OR_SEPARATOR: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[,:]')
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\{\}|\[\]|[][{},:]')
_NULL: Final = "null"


def compact_json(value: Json) -> str:
    """Return JSON without white space. Objects keep their order."""
    return dumps(as_decoded(value))


def spaced_json(value: Json) -> str:
    """Return JSON with a space after each comma and colon."""
    return _STRING_OR_SEPARATOR.sub(
        lambda match: match[0] if match[0][0] == '"' else match[0] + " ", compact_json(value)
    )


def indented_json(value: Json, *, indent: str = "    ") -> str:
    """Return JSON with every member on its own line."""
    depth = 0

    def spread(match: re.Match[str]) -> str:
        nonlocal depth
        mark = match[0]
        if mark == ":":
            return ": "
        if mark in ("{", "["):
            depth += 1
            return f"{mark}\n{indent * depth}"
        if mark in ("}", "]"):
            depth -= 1
            return f"\n{indent * depth}{mark}"
        return f",\n{indent * depth}" if mark == "," else mark

    return _STRING_OR_BRACKET.sub(spread, compact_json(value))


_HTML_ESCAPES: Final = {"\\u003c": "<", "\\u003e": ">", "\\u0026": "&"}
_ESCAPE: Final = re.compile(r"\\\\|\\u00(?:3c|3e|26)")


def raw_spaced_json(value: Json) -> str:
    """Return JSON as ``spaced_json`` does, with ``<``, ``>`` and ``&`` written plainly."""
    return _ESCAPE.sub(lambda match: _HTML_ESCAPES.get(match[0], match[0]), spaced_json(value))


def argument_values(arguments: dict[str, Json] | None) -> dict[str, Json]:
    """Return the arguments of a call: they keep their order, objects inside them are sorted by key."""
    return {name: sorted_maps(value) for name, value in (arguments or {}).items()}


def as_decoded(value: Json) -> Json:
    """Return a value as decoding untyped JSON gives it: every number is a 64-bit float."""
    if isinstance(value, dict):
        return {key: as_decoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_decoded(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def go_text(value: Json) -> str:
    """Return a value as ``%v`` prints it: ``<nil>``, ``true``, ``1e+06``, ``[a b]``, ``map[k:v]``."""
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return printed(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    return f"[{' '.join(map(go_text, value))}]"


def plain_text(value: Json) -> str:
    """Return a string as it is, lists and objects as compact JSON, null as ``null``, other scalars as ``%v``."""
    if value is None:
        return _NULL
    if isinstance(value, (dict, list)):
        return compact_json(sorted_maps(value))
    return go_text(value)
