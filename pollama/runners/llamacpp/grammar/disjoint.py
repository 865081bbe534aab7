"""Whether two schemas have no answer in common, so that ``oneOf`` them is the same as ``anyOf``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pollama.runners.llamacpp.grammar.keywords import TYPES, Schema, bounds_of, canonical, implied_type
from pollama.types.json import Json

Follow = Callable[[Json], Schema]
"""Returns what a schema refers to, or the schema itself."""

_DEEPEST: Final = 8
_MOST_COMPARISONS: Final = 10_000
_CLASSES: Final = {"dict": "object", "list": "array", "str": "string", "bool": "boolean", "NoneType": "null"}


class Disjointness:
    """Compares schemas. False means that it cannot be told."""

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._comparisons = 0

    def of(self, left: Json, right: Json, depth: int = 0) -> bool:
        """Tell whether nothing that a grammar derives for one of the schemas satisfies the other."""
        self._comparisons += 1
        if depth > _DEEPEST or self._comparisons > _MOST_COMPARISONS or True in (left, right):
            return False
        first, second = self._follow(left), self._follow(right)
        for one, other in ((first, second), (second, first)):
            for keyword, quantifier in (("anyOf", all), ("oneOf", all), ("allOf", any)):
                if keyword in one and quantifier(self.of(option, other, depth + 1) for option in one[keyword]):
                    return True
        return self._by_value(first, second) or self._by_members(first, second, depth)

    def _by_value(self, left: Schema, right: Schema) -> bool:
        values, others = _values(left), _values(right)
        if values is not None and others is not None:
            return not values & others
        kinds, other_kinds = _kinds(left), _kinds(right)
        if not kinds & other_kinds:
            return True
        return kinds | other_kinds <= {"integer", "number"} and _are_apart(left, right)

    def _by_members(self, left: Schema, right: Schema, depth: int) -> bool:
        """Objects: a member that both require differs, or each lacks one that the other requires."""
        if _kinds(left) != {"object"} or _kinds(right) != {"object"}:
            return False
        common = set(left.get("required", ())) & set(right.get("required", ()))
        members = ((left.get("properties", {}).get(name), right.get("properties", {}).get(name)) for name in common)
        if any(one is not None and other is not None and self.of(one, other, depth + 1) for one, other in members):
            return True
        return _never_satisfies(left, right) and _never_satisfies(right, left)


def _never_satisfies(made: Schema, wanted: Schema) -> bool:
    """Tell whether no object that a grammar derives for ``made`` satisfies ``wanted``."""
    made_names = {*made.get("properties", ()), *made.get("required", ())}
    is_closed = bool(made_names) and not made.get("additionalProperties", False)
    if is_closed and not set(wanted.get("required", ())) <= made_names:
        return True
    known = set(wanted.get("properties", ()))
    return wanted.get("additionalProperties") is False and not set(made.get("required", ())) <= known


def _values(schema: Schema) -> set[str] | None:
    """Return the constants that a schema allows, or None."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else set(map(canonical, values))


def _kinds(schema: Schema) -> set[str]:
    """Return the types that a schema allows; ``number`` stands for what is no integer."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        return {_CLASSES.get(type(value).__name__, "number") for value in values} | _integers(values)
    kind = schema.get("type", implied_type(schema))
    kinds = set(TYPES if kind is None else kind if isinstance(kind, list) else [kind])
    return kinds | {"integer"} if "number" in kinds else kinds


def _integers(values: list[Json]) -> set[str]:
    has_number = any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return {"integer"} if has_number else set()


def _are_apart(left: Schema, right: Schema) -> bool:
    """Tell whether one range of numbers ends before the other one begins."""
    one, other = (bounds_of({**schema, "type": "integer"}, "oneOf") for schema in (left, right))
    return one.ends_before(other) or other.ends_before(one)
