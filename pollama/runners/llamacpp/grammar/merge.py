"""One schema that asserts what two do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pollama.runners.llamacpp.grammar.keywords import ASSERTING, Schema, canonical, refusal, unsatisfiable
from pollama.types.json import Json

_MOST_OPTIONS: Final = 64
_TIGHTER: Final[dict[str, Callable[[Json, Json], Json]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
}


def conjunction(left: Schema, right: Schema, place: str) -> dict[str, Json]:
    """Return the schema. Raises GenerationError (400) where only a solver could tell, or nothing satisfies both."""
    merged = {**left, **right}
    for key in [key for key in left if key in right and left[key] != right[key]]:
        merged[key] = _both(key, left[key], right[key], place)
    if _is_about_members(left) and _is_about_members(right):
        merged.update(_members(left, right))
        if merged["additionalProperties"] is None:
            del merged["additionalProperties"]
    return merged


def _both(key: str, left: Json, right: Json, place: str) -> Json:
    if key in _TIGHTER and _are_numbers(left, right):
        return _TIGHTER[key](left, right)
    match key:
        case "required" | "allOf":
            return [*left, *right]
        case "anyOf":
            return _options(left, right, place)
        case "items":
            return {"allOf": [left, right]}
        case "enum" | "type":
            return _common(key, _list(left), _list(right), place)
        case "const":
            return _common(key, [left], [right], place)[0]
        case "uniqueItems":
            return True
        case "format" | "properties" | "additionalProperties":
            return left
    if key in ASSERTING:
        raise refusal(place, f"'allOf' with different {key!r} is not supported")
    return right


def _are_numbers(*values: Json) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _options(left: Json, right: Json, place: str) -> list[Json]:
    """Return every pair of options."""
    pairs = [{"allOf": [first, second]} for first in _list(left) for second in _list(right)]
    if len(pairs) > _MOST_OPTIONS:
        raise refusal(place, f"'anyOf' with more than {_MOST_OPTIONS} combinations is not supported")
    return pairs


def _common(key: str, left: list[Json], right: list[Json], place: str) -> list[Json]:
    known = set(map(canonical, right))
    common = [value for value in left if canonical(value) in known]
    if key == "type":  # an integer is a number
        others = (("integer", left, right), ("integer", right, left))
        common += [kind for kind, one, other in others if kind in one and "number" in other and kind not in common]
    if not common:
        raise unsatisfiable(place, f"nothing satisfies both {key!r}")
    return common


def _is_about_members(schema: Schema) -> bool:
    return "properties" in schema or "additionalProperties" in schema


def _members(left: Schema, right: Schema) -> dict[str, Json]:
    """Return ``properties`` and ``additionalProperties``; a name that one side does not allow is left out."""
    names = [*left.get("properties", {}), *right.get("properties", {})]
    named = {name: _every(_member(left, name), _member(right, name)) for name in dict.fromkeys(names)}
    others = [side["additionalProperties"] for side in (left, right) if "additionalProperties" in side]
    return {
        "properties": {name: schema for name, schema in named.items() if schema is not False},
        "additionalProperties": _every(*others) if others else None,
    }


def _member(schema: Schema, name: str) -> Json:
    """Return what a schema says of the member ``name``."""
    properties = schema.get("properties", {})
    return properties[name] if name in properties else schema.get("additionalProperties", True)


def _every(*schemas: Json) -> Json:
    """Return a schema for what satisfies all of ``schemas``."""
    if False in schemas:
        return False
    parts = [schema for schema in schemas if schema is not True]
    return True if not parts else parts[0] if len(parts) == 1 else {"allOf": parts}
