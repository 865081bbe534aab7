"""JSON schemas of growing nastiness: some made by hand, the rest drawn, deeper and wider as they go on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

TREE = {
    "type": "object",
    "properties": {"v": {"type": "integer", "minimum": 0, "maximum": 9}, "sons": {"$ref": "#/$defs/sons"}},
    "required": ["v", "sons"],
}
BY_HAND: list[Schema] = [
    {"type": "boolean"},
    {"type": "string", "minLength": 1, "maxLength": 1},
    {"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"},
    {"type": "string", "pattern": "^(\\+\\d{1,3} )?\\d{3}-\\d{4}$"},
    {"type": "string", "pattern": '^"[^"\\\\]{1,5}"$'},
    {"type": "string", "pattern": "^\\S{2}\\W\\D$"},
    {"type": "string", "pattern": "^.{1,6}$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"},
    {"type": "integer", "minimum": -7, "exclusiveMaximum": -5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "minimum": 99.95, "maximum": 100.05},
    {"type": "integer", "minimum": 1e3, "maximum": 1.5e3},
    {"const": {"deep": [[[{"a": None}]], "ü\n\t\"\\"]}},
    {"enum": ["", " ", "null", None, 0, -0.5, 1e20, [], {}]},
    {"type": ["null", "array"], "items": {"enum": [1, 2]}, "maxItems": 3},
    {"$defs": {"sons": {"type": "array", "items": TREE, "maxItems": 1}}, **TREE},
    {
        "$defs": {
            "list": {
                "anyOf": [
                    {"type": "null"},
                    {
                        "type": "object",
                        "properties": {"head": {"type": "boolean"}, "tail": {"$ref": "#/$defs/list"}},
                        "required": ["head", "tail"],
                    },
                ]
            }
        },
        "$ref": "#/$defs/list",
    },
    {"$defs": {"a/b~c": {"enum": ["x"]}}, "type": "array", "items": {"$ref": "#/$defs/a~1b~0c"}, "maxItems": 2},
    {"properties": {"$ref": {"type": "integer", "maximum": 5, "minimum": 0}}, "required": ["$ref"], "type": "object"},
    {"type": "object", "properties": {"日本": {"enum": ["東京"]}, 'ä "key"': {"type": "null"}}, "required": ["日本"]},
    {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"const": 2}, "required": ["a", "b"]},
    {
        "type": "object",
        "properties": {"a": {"const": 1}, "ab": {"const": 2}, "abc": {"const": 3}},
        "additionalProperties": False,
    },
    {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "integer", "minimum": 0}, {"type": "null"}]},
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, kind: value},
                "required": ["kind", kind],
                "additionalProperties": False,
            }
            for kind, value in (("circle", {"enum": [1, 2]}), ("dot", {"type": "null"}))
        ]
    },
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 3}}},
            {"properties": {"a": {"maximum": 4}, "b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    {"allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"anyOf": [{"maximum": 9}, {"type": "null"}]},
               {"type": ["integer", "null"], "minimum": 0}]},
    {"type": "array", "prefixItems": [{"const": 1}, {"type": "array", "maxItems": 0}], "items": False, "minItems": 2},
    {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": {"enum": [0, 1]}, "minItems": 1,
     "maxItems": 2}, "minItems": 1, "maxItems": 2}, "minItems": 2, "maxItems": 2},
    {"type": "object", "properties": {f"k{index}": {"type": "boolean"} for index in range(30)},
     "required": [f"k{index}" for index in range(0, 30, 3)]},
]  # fmt: skip
KEYS = ("id", "name", "größe", "k e y", 'q"uote', "back\\slash", "日本", "emoji 😀", "a", "ab", "abc", "A", "$ref", "")


def schemas(count: int, seed: int) -> Iterator[Schema]:
    """Yield ``count`` schemas that JSON Schema knows how to satisfy, in answers of bounded length."""
    yield from BY_HAND[:count]
    source = random.Random(seed)
    drawn = count - len(BY_HAND)
    for index in range(drawn):
        yield Drawing(source).schema(1 + 4 * index // drawn)


class Drawing:
    """Draws one schema. ``defs`` collects what it refers to."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._defs: dict[str, Schema] = {}

    def schema(self, depth: int) -> Schema:
        """Return a schema that nests at most ``depth`` levels."""
        schema = self._any(depth)
        return {**schema, "$defs": self._defs} if self._defs else schema

    def _any(self, depth: int) -> Schema:
        makers: list[Callable[[int], Schema]] = [self._object, self._array, self._choice, self._reference, self._all]
        return self._source.choice(makers)(depth - 1) if depth and self._source.random() < 0.8 else self._leaf()

    def _leaf(self) -> Schema:
        low, size = self._source.randint(-200, 200), self._source.randint(0, 6)
        cents, width = self._source.randint(-500, 500) / 100, self._source.randint(1, 300) / 100
        return self._source.choice(
            [
                {"type": "string", "minLength": size, "maxLength": size + 6},
                {"type": "string", "pattern": self._source.choice(["^[a-f]{2,4}$", "^(yes|no)!?$", "^x{3}y*z$"])},
                {"type": "string", "format": self._source.choice(["date", "time", "uuid"])},
                {"type": "integer", "minimum": low, "maximum": low + self._source.randint(0, 500)},
                {"type": "number", "minimum": cents, "exclusiveMaximum": round(cents + width, 2)},
                {"enum": self._source.sample(["a", "b\n", 1, 2.5, None, True, "c"], 3)},
                {"type": ["boolean", "null"]},
            ]
        )

    def _object(self, depth: int) -> Schema:
        keys = self._source.sample(KEYS, self._source.randint(1, 4))
        schema: Schema = {
            "type": "object",
            "properties": {key: self._any(depth) for key in keys},
            "required": self._source.sample(keys, self._source.randint(0, len(keys))),
        }
        if self._source.random() < 0.5:
            schema["additionalProperties"] = False
        return schema

    def _array(self, depth: int) -> Schema:
        least = self._source.randint(0, 2)
        return {"type": "array", "items": self._any(depth), "minItems": least, "maxItems": least + 2}

    def _choice(self, depth: int) -> Schema:
        if self._source.random() < 0.5:
            return {"anyOf": [self._any(depth) for _ in range(self._source.randint(2, 3))]}
        tagged = [
            {"type": "object", "properties": {"tag": {"const": tag}, "v": self._any(depth)}, "required": ["tag", "v"]}
            for tag in ("one", "two")
        ]
        return {"oneOf": [*tagged, {"type": "null"}]}

    def _reference(self, depth: int) -> Schema:
        name = f"def {len(self._defs)}"
        self._defs[name] = {}
        self._defs[name] = self._any(depth)
        return {"$ref": f"#/$defs/{name}"}

    def _all(self, depth: int) -> Schema:
        first, second = self._source.sample(KEYS, 2)
        parts = [
            {"type": "object", "properties": {key: self._any(depth)}, "required": [key]} for key in (first, second)
        ]
        return {"allOf": parts}
