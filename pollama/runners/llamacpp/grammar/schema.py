"""From a JSON schema to a grammar.

What a grammar cannot enforce is refused by name rather than left out, so that an answer always validates. Two readings
are llama.cpp's: ``oneOf`` means ``anyOf``, and an object with ``properties`` has no others unless it says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Final

from pollama.errors import GenerationError
from pollama.runners.llamacpp.grammar import numbers
from pollama.runners.llamacpp.grammar.pattern import PatternError, pattern_expression
from pollama.runners.llamacpp.grammar.rules import RuleBook, json_literal, other_string, repeated, separated
from pollama.types.json import Json

_UNSUPPORTED: Final = (
    "not", "if", "then", "else", "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems", "contains",
    "minContains", "maxContains", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
_FORMATS: Final = ("date", "time", "date-time", "uuid")
_OF_TYPE: Final = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_DEEPEST: Final = 64
_COMMA: Final = ' "," space '
_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")


class SchemaCompiler:
    """Compiles one schema into ``book``.

    Raises GenerationError (400) naming the place and the keyword that it cannot follow.
    """

    def __init__(self, schema: Mapping[str, Json], book: RuleBook) -> None:
        self._root = schema
        self._book = book
        self._references: dict[str, str] = {}
        self._depth = 0
        self._book.primitive("space")

    def rule(self, place: str) -> str:
        """Return the name of the rule for the schema; ``place`` is what it and errors call it."""
        return self._visit(self._root, place)

    def _visit(self, schema: Json, place: str) -> str:
        """Return the name of a rule for ``schema``; ``place`` names it in rules and errors."""
        if schema is True or schema == {}:
            return self._book.primitive("value")
        if not isinstance(schema, dict):
            raise _refusal(place, "a schema must be an object or true")
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise _refusal(place, f"{keyword!r} is not supported")
        if self._depth == _DEEPEST:
            raise _refusal(place, "the schema is nested too deeply")
        self._depth += 1
        rule = self._compiler(schema, place)(schema, place)
        self._depth -= 1
        return rule

    def _compiler(self, schema: Mapping[str, Json], place: str) -> Callable[[Mapping[str, Json], str], str]:
        if "$ref" in schema:
            return self._reference
        if "allOf" in schema:
            return self._all_of
        if "anyOf" in schema or "oneOf" in schema:
            return self._any_of
        if "const" in schema or "enum" in schema:
            return self._constants
        kind = schema.get("type", _implied_type(schema))
        if isinstance(kind, list):
            return self._several_types
        if kind is not None and kind not in _TYPES:
            raise _refusal(place, f"unknown type {kind!r}")
        by_type = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._integer,
        }
        return by_type.get(kind, functools.partial(self._simple, kind or "value"))

    def _rule(self, place: str, body: str) -> str:
        return self._book.define(self._book.reserve(place), body)

    def _simple(self, primitive: str, _schema: Mapping[str, Json], _place: str) -> str:
        return self._book.primitive(primitive)

    # -- combinations -------------------------------------------------------------------------------

    def _reference(self, schema: Mapping[str, Json], place: str) -> str:
        target = schema["$ref"]
        resolved = self._resolved(target, place)
        if target not in self._references:
            self._references[target] = self._book.reserve(target.rpartition("/")[2])
            self._book.define(self._references[target], self._visit(resolved, place))
        return self._references[target]

    def _resolved(self, target: Json, place: str) -> Json:
        if not isinstance(target, str) or not target.startswith("#"):
            raise _refusal(place, f"$ref {target!r} does not point into the schema")
        node: Json = self._root
        for step in target.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise _refusal(place, f"$ref {target!r} points nowhere")
            node = node[key]
        return node

    def _all_of(self, schema: Mapping[str, Json], place: str) -> str:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in _items(schema, "allOf", place):
            merged = _merged(merged, self._followed(part, place), place)
        return self._visit(merged, place)

    def _followed(self, schema: Json, place: str) -> Mapping[str, Json]:
        """Return ``schema``, or what it refers to."""
        seen: set[Json] = set()
        while isinstance(schema, dict) and "$ref" in schema:
            if schema["$ref"] in seen:
                raise _refusal(place, f"$ref {schema['$ref']!r} leads to itself")
            seen.add(schema["$ref"])
            schema = self._resolved(schema["$ref"], place)
        if not isinstance(schema, dict):
            raise _refusal(place, "'allOf' must list schemas")
        return schema

    def _any_of(self, schema: Mapping[str, Json], place: str) -> str:
        keyword = "anyOf" if "anyOf" in schema else "oneOf"
        beside = {key: value for key, value in schema.items() if key != keyword and key in _ASSERTIONS}
        options = [
            self._option(beside, option, f"{place}-{index}")
            for index, option in enumerate(_items(schema, keyword, place))
        ]
        return self._rule(place, " | ".join(options))

    def _option(self, beside: Mapping[str, Json], option: Json, place: str) -> str:
        if not beside:
            return self._visit(option, place)
        return self._visit({"allOf": [beside, option]}, place)

    def _several_types(self, schema: Mapping[str, Json], place: str) -> str:
        options = [self._visit({**schema, "type": kind}, f"{place}-{kind}") for kind in _items(schema, "type", place)]
        return self._rule(place, " | ".join(options))

    def _constants(self, schema: Mapping[str, Json], place: str) -> str:
        values = [schema["const"]] if "const" in schema else _items(schema, "enum", place)
        return self._rule(place, f"({' | '.join(json_literal(value) for value in values)}) space")

    # -- objects and arrays -------------------------------------------------------------------------

    def _object(self, schema: Mapping[str, Json], place: str) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise _refusal(place, "'properties' must be an object and 'required' a list of names")
        if not properties and not required and schema.get("additionalProperties", True) is True:
            return self._book.primitive("object")
        names = [*properties, *(name for name in required if name not in properties)]
        members = {name: self._member(name, properties.get(name, True), f"{place}-{name}") for name in names}
        extra = self._extra_member(schema, names, place)
        return self._rule(place, f'"{{" space {self._members(members, required, extra, place)} "}}" space')

    def _member(self, name: str, schema: Json, place: str) -> str:
        return self._rule(f"{place}-kv", f'{json_literal(name)} space ":" space {self._visit(schema, place)}')

    def _extra_member(self, schema: Mapping[str, Json], names: list[str], place: str) -> str | None:
        allowed = schema.get("additionalProperties", False)
        if allowed is False:
            return None
        self._book.primitive("char")
        key = other_string(names) if names else self._book.primitive("string")
        return self._rule(f"{place}-other-kv", f'{key} ":" space {self._visit(allowed, f"{place}-other")}')

    def _members(self, members: Mapping[str, str], required: list[str], extra: str | None, place: str) -> str:
        """Return the members in order of the schema, the required ones first."""
        always = _COMMA.join(rule for name, rule in members.items() if name in required)
        optional = [rule for name, rule in members.items() if name not in required]
        rest = self._optional_members(optional, extra, place)
        if not rest:
            return always
        return f'{always} ("," space ({rest}))?' if always else f"({rest})?"

    def _optional_members(self, optional: list[str], extra: str | None, place: str) -> str:
        """Return an expression for one or more of ``optional`` in order, then any number of ``extra``."""
        tail = f'("," space {extra})*' if extra else ""
        starts = [f"{extra} {tail}".strip()] if extra else []
        for rule in reversed(optional):
            starts.insert(0, f"{rule} {tail}".strip())
            tail = self._rule(f"{place}-rest", f'("," space {rule})? {tail}'.strip())
        return " | ".join(starts)

    def _array(self, schema: Mapping[str, Json], place: str) -> str:
        if schema.get("uniqueItems"):
            raise _refusal(place, "'uniqueItems' is not supported")
        least, most = _count(schema, "minItems", place) or 0, _count(schema, "maxItems", place)
        tuple_items = schema.get("prefixItems", schema.get("items") if isinstance(schema.get("items"), list) else None)
        if tuple_items is not None:
            items = [self._visit(item, f"{place}-{index}") for index, item in enumerate(tuple_items)]
            if least > len(items) or (most is not None and most < len(items)):
                raise _refusal(place, "'prefixItems' does not agree with 'minItems' and 'maxItems'")
            return self._rule(place, f'"[" space {_COMMA.join(items)} "]" space')
        item = self._visit(schema.get("items", True), f"{place}-item")
        return self._rule(place, f'"[" space {separated(item, least, most)} "]" space')

    # -- strings and numbers ------------------------------------------------------------------------

    def _string(self, schema: Mapping[str, Json], place: str) -> str:
        least, most = _count(schema, "minLength", place), _count(schema, "maxLength", place)
        wanted_format = schema.get("format")
        if "pattern" in schema:
            if not isinstance(schema["pattern"], str):
                raise _refusal(place, "'pattern' must be a string")
            if least is not None or most is not None:
                raise _refusal(place, "'pattern' together with a length is not supported")
            return self._quoted(place, self._pattern(schema["pattern"], place))
        if wanted_format in _FORMATS:
            return self._quoted(place, self._book.primitive(wanted_format))
        if least is None and most is None:
            return self._book.primitive("string")
        return self._quoted(place, repeated(self._book.primitive("char"), least or 0, most))

    def _pattern(self, pattern: str, place: str) -> str:
        self._book.primitive("char")
        try:
            return pattern_expression(pattern)
        except PatternError as error:
            raise _refusal(place, f"'pattern' has {error}") from error

    def _quoted(self, place: str, content: str) -> str:
        return self._rule(place, f'"\\"" {content} "\\"" space')

    def _integer(self, schema: Mapping[str, Json], place: str) -> str:
        low, high, above, below = _bounds(schema, place)
        low = low + 1 if low is not None and above else low
        high = high - 1 if high is not None and below else high
        if low is None and high is None:
            return self._book.primitive("integer")
        if low is not None and high is not None and low > high:
            raise _refusal(place, "no integer lies between 'minimum' and 'maximum'")
        return self._rule(place, f"({numbers.integer_range(low, high)}) space")

    def _number(self, schema: Mapping[str, Json], place: str) -> str:
        low, high, above, below = _bounds(schema, place)
        if low is None and high is None:
            return self._book.primitive("number")
        if low is not None and high is not None and (low > high or (low == high and (above or below))):
            raise _refusal(place, "no number lies between 'minimum' and 'maximum'")
        self._book.primitive("digits")
        return self._rule(place, f"({numbers.decimal_range(low, high, above=above, below=below)}) space")


_ASSERTIONS: Final = frozenset({"type", "const", "enum", *(name for names in _OF_TYPE.values() for name in names)})


def _implied_type(schema: Mapping[str, Json]) -> str | None:
    for kind, keywords in _OF_TYPE.items():
        if any(keyword in schema for keyword in keywords):
            return kind
    return None


def _merged(left: Mapping[str, Json], right: Mapping[str, Json], place: str) -> dict[str, Json]:
    """Return a schema that asserts what both do. Raises where only a solver could tell."""
    merged = dict(left)
    for key, value in right.items():
        if key not in merged or key not in _ASSERTIONS or merged[key] == value:
            merged[key] = value
        elif key == "properties":
            merged[key] = {**merged[key], **value}
        elif key == "required":
            merged[key] = [*merged[key], *value]
        else:
            raise _refusal(place, f"'allOf' with different {key!r} is not supported")
    return merged


def _items(schema: Mapping[str, Json], keyword: str, place: str) -> list[Json]:
    items = schema[keyword]
    if not isinstance(items, list) or not items:
        raise _refusal(place, f"{keyword!r} must be a list that is not empty")
    return items


def _count(schema: Mapping[str, Json], keyword: str, place: str) -> int | None:
    value = schema.get(keyword)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise _refusal(place, f"{keyword!r} must be a count")
    return value


def _bounds(schema: Mapping[str, Json], place: str) -> tuple[int | None, int | None, bool, bool]:
    """Return lower and upper bound, and for each whether it is itself excluded."""
    if schema.get("multipleOf", 1) != 1 or (schema.get("type") != "integer" and "multipleOf" in schema):
        raise _refusal(place, "'multipleOf' is not supported")
    low, above = _bound(schema, "minimum", "exclusiveMinimum", max, place)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", min, place)
    return low, high, above, below


def _bound(
    schema: Mapping[str, Json], closed: str, open_: str, tighter: Callable[[int, int], int], place: str
) -> tuple[int | None, bool]:
    inclusive, exclusive = _whole(schema, closed, place), _whole(schema, open_, place)
    if exclusive is None:
        return inclusive, False
    if inclusive is None or tighter(inclusive, exclusive) == exclusive:
        return exclusive, True
    return inclusive, False


def _whole(schema: Mapping[str, Json], keyword: str, place: str) -> int | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise _refusal(place, f"{keyword!r} must be a whole number")
    return int(value)


def _refusal(place: str, reason: str) -> GenerationError:
    return GenerationError(f"invalid format: {place}: {reason}", 400)
