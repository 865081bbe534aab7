"""Keywords of JSON Schema: which ones assert something, and their values, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pollama.errors import GenerationError
from pollama.types.json import Json

Schema = Mapping[str, Json]

UNSUPPORTED: Final = (
    "not", "if", "then", "else", "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems", "contains",
    "minContains", "maxContains", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
OF_TYPE: Final = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
COMBINING: Final = ("$ref", "allOf", "anyOf", "oneOf")
ASSERTING: Final = frozenset(
    (*COMBINING, *UNSUPPORTED, "type", "const", "enum", *(name for names in OF_TYPE.values() for name in names))
)
TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_MOST_DIGITS: Final = 30


class UnsatisfiableError(GenerationError):
    """There is no value that a schema allows."""


def unsatisfiable(place: str, reason: str) -> UnsatisfiableError:
    """Return the error for a schema at a place that allows nothing."""
    return UnsatisfiableError(f"invalid format: {place}: {reason}", 400)


def refusal(place: str, reason: str) -> GenerationError:
    """Return the error for a schema that cannot be followed at a place."""
    return GenerationError(f"invalid format: {place}: {reason}", 400)


def canonical(value: Json) -> str:
    """Return a text that is the same for values that are equal in JSON Schema, where 1.0 is 1."""
    return json.dumps(json.loads(json.dumps(value), parse_float=_plain), sort_keys=True)


def _plain(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def assertions(schema: Schema) -> dict[str, Json]:
    """Return the part of ``schema`` that is more than a note."""
    return {key: value for key, value in schema.items() if key in ASSERTING}


def implied_type(schema: Schema) -> str | None:
    """Return the type that the keywords of a schema are about."""
    return next((kind for kind, names in OF_TYPE.items() if any(name in schema for name in names)), None)


def items_of(schema: Schema, keyword: str, place: str) -> list[Json]:
    """Return the value of a keyword that is a list."""
    items = schema[keyword]
    if not isinstance(items, list) or not items:
        raise refusal(place, f"{keyword!r} must be a list that is not empty")
    return items


def count_of(schema: Schema, keyword: str, place: str) -> int | None:
    """Return the value of a keyword that counts something, or None."""
    value = schema.get(keyword)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise refusal(place, f"{keyword!r} must be a count")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The numbers that a schema allows; ``above`` and ``below``: the bound itself is not one of them."""

    low: Decimal | None
    high: Decimal | None
    above: bool
    below: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is no such number."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.above or self.below))

    def ends_before(self, other: Bounds) -> bool:
        """Tell whether all numbers here are smaller than all of ``other``."""
        if self.high is None or other.low is None:
            return False
        return self.high < other.low or (self.high == other.low and (self.below or other.above))

    def integers(self) -> tuple[int | None, int | None]:
        """Return the smallest and the largest integer."""
        low = None if self.low is None else math.floor(self.low) + 1 if self.above else math.ceil(self.low)
        high = None if self.high is None else math.ceil(self.high) - 1 if self.below else math.floor(self.high)
        return low, high


def bounds_of(schema: Schema, place: str) -> Bounds:
    """Return the bounds that a schema sets."""
    if schema.get("multipleOf", 1) != 1 or (schema.get("type") != "integer" and "multipleOf" in schema):
        raise refusal(place, "'multipleOf' is not supported")
    low, above = _bound(schema, "minimum", "exclusiveMinimum", max, place)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", min, place)
    return Bounds(low=low, high=high, above=above, below=below)


def _bound(
    schema: Schema, closed: str, open_: str, tighter: Callable[[Decimal, Decimal], Decimal], place: str
) -> tuple[Decimal | None, bool]:
    inclusive, exclusive = _number(schema, closed, place), _number(schema, open_, place)
    if exclusive is None:
        return inclusive, False
    if inclusive is None or tighter(inclusive, exclusive) == exclusive:
        return exclusive, True
    return inclusive, False


def _number(schema: Schema, keyword: str, place: str) -> Decimal | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise refusal(place, f"{keyword!r} must be a number")
    number = Decimal(repr(value))
    if len(f"{number:f}") > _MOST_DIGITS:
        raise refusal(place, f"{keyword!r} has more than {_MOST_DIGITS} digits")
    return number
