"""From a JSON schema to a grammar.

What a grammar cannot enforce is refused by name rather than left out, so that an answer always validates. An object
with ``properties`` has no others unless the schema says so, which is llama.cpp's reading.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Final

from pollama.runners.llamacpp.grammar import numbers
from pollama.runners.llamacpp.grammar.disjoint import Disjointness
from pollama.runners.llamacpp.grammar.keywords import (
    COMBINING,
    TYPES,
    UNSUPPORTED,
    Schema,
    UnsatisfiableError,
    assertions,
    bounds_of,
    count_of,
    implied_type,
    items_of,
    refusal,
    unsatisfiable,
)
from pollama.runners.llamacpp.grammar.merge import conjunction
from pollama.runners.llamacpp.grammar.pattern import PatternError, pattern_expression
from pollama.runners.llamacpp.grammar.rules import RuleBook, json_literal, other_string, repeated, separated
from pollama.types.json import Json

_FORMATS: Final = ("date", "time", "date-time", "uuid")
_DEEPEST: Final = 64
_MOST_PARTS: Final = 5000
_COMMA: Final = ' "," space '


class SchemaCompiler:
    """Compiles one schema into ``book``.

    Raises GenerationError (400) naming the place and the keyword that it cannot follow.
    """

    def __init__(self, schema: Schema, book: RuleBook) -> None:
        self._root = schema
        self._book = book
        self._references: dict[str, str] = {}
        self._depth = self._parts = 0
        self._book.primitive("space")

    def rule(self, place: str) -> str:
        """Return the name of the rule for the schema; ``place`` is what it and errors call it."""
        return self._visit(self._root, place)

    def _visit(self, schema: Json, place: str) -> str:
        """Return the name of a rule for ``schema``; ``place`` names it in rules and errors."""
        if schema is True or schema == {}:
            return self._book.primitive("value")
        if not isinstance(schema, dict):
            raise refusal(place, "a schema must be an object or true")
        for keyword in UNSUPPORTED:
            if keyword in schema:
                raise refusal(place, f"{keyword!r} is not supported")
        if self._depth == _DEEPEST:
            raise refusal(place, "the schema is nested too deeply")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise refusal(place, f"the schema has more than {_MOST_PARTS} parts")
        self._depth += 1
        rule = self._compiler(schema)(assertions(schema), place)
        self._depth -= 1
        return rule

    def _compiler(self, schema: Schema) -> Callable[[Schema, str], str]:
        combining = [keyword for keyword in COMBINING if keyword in schema]
        if combining:
            by_keyword = {"$ref": self._reference, "allOf": self._all_of, "anyOf": self._any_of, "oneOf": self._one_of}
            return by_keyword[combining[0]]
        if "const" in schema or "enum" in schema:
            return self._constants
        kind = schema.get("type", implied_type(schema))
        if isinstance(kind, list):
            return self._several_types
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

    def _simple(self, kind: str, _schema: Schema, place: str) -> str:
        if kind not in (*TYPES, "value"):
            raise refusal(place, f"unknown type {kind!r}")
        return self._book.primitive(kind)

    # -- combinations -------------------------------------------------------------------------------

    def _reference(self, schema: Schema, place: str) -> str:
        target = schema["$ref"]
        resolved = self._resolved(target, place)
        if len(schema) > 1:
            return self._visit(conjunction(_without(schema, "$ref"), self._followed(resolved, place), place), place)
        if target not in self._references:
            self._references[target] = self._book.reserve(target.rpartition("/")[2])
            self._book.define(self._references[target], self._visit(resolved, place))
        return self._references[target]

    def _resolved(self, target: Json, place: str) -> Json:
        if not isinstance(target, str) or not target.startswith("#"):
            raise refusal(place, f"$ref {target!r} does not point into the schema")
        node: Json = self._root
        for step in target.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise refusal(place, f"$ref {target!r} points nowhere")
            node = node[key]
        return node

    def _followed(self, schema: Json, place: str) -> dict[str, Json]:
        """Return what ``schema`` asserts, or what it refers to does."""
        merged: dict[str, Json] = {}
        seen: set[Json] = set()
        while isinstance(schema, dict) and "$ref" in schema:
            if schema["$ref"] in seen:
                raise refusal(place, f"$ref {schema['$ref']!r} leads to itself")
            seen.add(schema["$ref"])
            merged = conjunction(merged, assertions(_without(schema, "$ref")), place)
            schema = self._resolved(schema["$ref"], place)
        if schema is not True and not isinstance(schema, dict):
            raise refusal(place, "a schema must be an object or true")
        return conjunction(merged, {} if schema is True else assertions(schema), place)

    def _all_of(self, schema: Schema, place: str) -> str:
        merged = _without(schema, "allOf")
        for part in items_of(schema, "allOf", place):
            merged = conjunction(merged, self._followed(part, place), place)
        return self._visit(merged, place)

    def _any_of(self, schema: Schema, place: str) -> str:
        return self._options(items_of(schema, "anyOf", place), _without(schema, "anyOf"), place)

    def _one_of(self, schema: Schema, place: str) -> str:
        """Return the rule for one of several schemas, which is any of them where no two have an answer in common."""
        options, beside = items_of(schema, "oneOf", place), _without(schema, "oneOf")
        whole = [conjunction(beside, self._followed(option, place), place) for option in options]
        disjointness = Disjointness(functools.partial(self._followed, place=place))
        if not all(disjointness.of(one, other) for one, other in combinations(whole, 2)):
            raise refusal(place, "'oneOf' is not supported where an answer may satisfy two of its schemas; use 'anyOf'")
        return self._options(options, beside, place)

    def _options(self, options: list[Json], beside: Schema, place: str) -> str:
        rules = [self._option(beside, option, f"{place}-{index}") for index, option in enumerate(options)]
        if not any(rules):
            raise unsatisfiable(place, "there is no answer that all of it allows")
        return self._rule(place, " | ".join(filter(None, rules)))

    def _option(self, beside: Schema, option: Json, place: str) -> str | None:
        """Return the rule for one of several options; None where nothing satisfies it."""
        rules, references, depth = self._book.snapshot(), dict(self._references), self._depth
        try:
            return self._visit({"allOf": [beside, option]} if beside else option, place)
        except UnsatisfiableError:
            self._book.restore(rules)
            self._references, self._depth = references, depth
            return None

    def _several_types(self, schema: Schema, place: str) -> str:
        options = [self._visit({**schema, "type": kind}, f"{place}-{kind}") for kind in items_of(schema, "type", place)]
        return self._rule(place, " | ".join(options))

    def _constants(self, schema: Schema, place: str) -> str:
        values = [schema["const"]] if "const" in schema else items_of(schema, "enum", place)
        if "const" in schema and "enum" in schema:
            values = conjunction({"enum": values}, {"enum": schema["enum"]}, place)["enum"]
        beside = _without(schema, "const", "enum", "type", "format")
        if beside:
            raise refusal(place, f"{next(iter(beside))!r} beside constants is not supported")
        kinds = schema.get("type", list(TYPES))
        allowed = [value for value in values if _is_of(value, kinds if isinstance(kinds, list) else [kinds])]
        if not allowed:
            raise unsatisfiable(place, "none of the constants is of the type")
        return self._rule(place, f"({' | '.join(json_literal(value) for value in allowed)}) space")

    # -- objects and arrays -------------------------------------------------------------------------

    def _object(self, schema: Schema, place: str) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        others = schema.get("additionalProperties", True)
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise refusal(place, "'properties' must be an object and 'required' a list of names")
        if not properties and not required and others is True:
            return self._book.primitive("object")
        names = [*properties, *(name for name in dict.fromkeys(required) if name not in properties)]
        if others is False and len(names) > len(properties):
            raise unsatisfiable(place, f"{names[-1]!r} is required and not allowed")
        members = {name: self._member(name, properties.get(name, others), f"{place}-{name}") for name in names}
        extra = self._extra_member(schema, names, place)
        return self._rule(place, f'"{{" space {self._members(members, required, extra, place)} "}}" space')

    def _member(self, name: str, schema: Json, place: str) -> str:
        return self._rule(f"{place}-kv", f'{json_literal(name)} space ":" space {self._visit(schema, place)}')

    def _extra_member(self, schema: Schema, names: list[str], place: str) -> str | None:
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

    def _array(self, schema: Schema, place: str) -> str:
        if schema.get("uniqueItems"):
            raise refusal(place, "'uniqueItems' is not supported")
        least, most = count_of(schema, "minItems", place) or 0, count_of(schema, "maxItems", place)
        if most is not None and most < least:
            raise unsatisfiable(place, "no length lies between 'minItems' and 'maxItems'")
        tuple_items = schema.get("prefixItems", schema.get("items") if isinstance(schema.get("items"), list) else None)
        if tuple_items is not None:
            items = [self._visit(item, f"{place}-{index}") for index, item in enumerate(tuple_items)]
            if least > len(items) or (most is not None and most < len(items)):
                raise refusal(place, "'prefixItems' does not agree with 'minItems' and 'maxItems'")
            return self._rule(place, f'"[" space {_COMMA.join(items)} "]" space')
        item = self._visit(schema.get("items", True), f"{place}-item")
        return self._rule(place, f'"[" space {separated(item, least, most)} "]" space')

    # -- strings and numbers ------------------------------------------------------------------------

    def _string(self, schema: Schema, place: str) -> str:
        least, most = count_of(schema, "minLength", place), count_of(schema, "maxLength", place)
        has_length = least is not None or most is not None
        if "pattern" in schema:
            if not isinstance(schema["pattern"], str):
                raise refusal(place, "'pattern' must be a string")
            if has_length:
                raise refusal(place, "'pattern' together with a length is not supported")
            return self._quoted(place, self._pattern(schema["pattern"], place))
        if has_length:
            if most is not None and most < (least or 0):
                raise unsatisfiable(place, "no length lies between 'minLength' and 'maxLength'")
            return self._quoted(place, repeated(self._book.primitive("char"), least or 0, most))
        if schema.get("format") in _FORMATS:
            return self._quoted(place, self._book.primitive(schema["format"]))
        return self._book.primitive("string")

    def _pattern(self, pattern: str, place: str) -> str:
        self._book.primitive("char")
        try:
            return pattern_expression(pattern)
        except PatternError as error:
            raise refusal(place, f"'pattern' has {error}") from error

    def _quoted(self, place: str, content: str) -> str:
        return self._rule(place, f'"\\"" {content} "\\"" space')

    def _integer(self, schema: Schema, place: str) -> str:
        bounds = bounds_of(schema, place)
        low, high = bounds.integers()
        if low is None and high is None:
            return self._book.primitive("integer")
        if low is not None and high is not None and low > high:
            raise unsatisfiable(place, "no integer lies between 'minimum' and 'maximum'")
        return self._rule(place, f"({numbers.integer_range(low, high)}) space")

    def _number(self, schema: Schema, place: str) -> str:
        bounds = bounds_of(schema, place)
        if bounds.low is None and bounds.high is None:
            return self._book.primitive("number")
        if bounds.is_empty:
            raise unsatisfiable(place, "no number lies between 'minimum' and 'maximum'")
        self._book.primitive("digits")
        expression = numbers.decimal_range(bounds.low, bounds.high, above=bounds.above, below=bounds.below)
        return self._rule(place, f"({expression}) space")


def _without(schema: Schema, *keywords: str) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in keywords}


def _is_of(value: Json, kinds: list[Json]) -> bool:
    """Tell whether a constant is of one of the types."""
    if isinstance(value, bool) or value is None:
        return ("boolean" if isinstance(value, bool) else "null") in kinds
    if isinstance(value, (int, float)):
        return "number" in kinds or ("integer" in kinds and float(value).is_integer())
    kind = "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
    return kind in kinds
