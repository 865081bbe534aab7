"""JSON schemas of what the decoders accept, made from the decoders' own declarations."""

from __future__ import annotations

from typing import Any, Final

from pollama.api.godecode import (
    Bool,
    Bytes,
    Custom,
    Float,
    Ignored,
    Int,
    Kind,
    List,
    Map,
    Refused,
    String,
    Struct,
)
from pollama.types.json import Json

Schema = dict[str, Json]

_IGNORED: Final[Schema] = {"description": "ignored, as in Ollama"}
_OWN: Final[dict[str, Schema]] = {
    "api.ThinkValue": {"enum": [True, False, "low", "medium", "high", "max"]},
    "api.Duration": {
        "description": "seconds, or a duration such as 5m; negative: for ever",
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$"}],
    },
    "api.ToolCallFunctionArguments": {"type": "object"},
    "api.ToolPropertiesMap": {"type": "object", "additionalProperties": {"type": "object"}},
    "openai.ResponsesInput": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
}
"""Types that decode themselves."""


def schema_of(kind: Kind, required: tuple[str, ...] = (), above: tuple[Struct, ...] = ()) -> Schema:
    """Return the JSON schema of a kind; a struct within itself is any object."""
    match kind:
        case String():
            return {"type": "string"}
        case Bool():
            return {"type": "boolean"}
        case Int():
            return {"type": "integer", "minimum": kind.low, "maximum": kind.high}
        case Float():
            return {"type": "number"}
        case Bytes():
            return {"type": "string", "contentEncoding": "base64"}
        case List():
            return {"type": "array", "items": schema_of(kind.item, (), above)}
        case Map():
            return {"type": "object", "additionalProperties": schema_of(kind.item, (), above)}
        case Struct():
            return {"type": "object"} if kind in above else _object(kind, required, (*above, kind))
        case Custom():
            return schema_of(kind.body, (), above) if kind.body is not None else _OWN[kind.go_type]
        case Ignored():
            return {**({} if kind.kind is None else schema_of(kind.kind)), **_IGNORED}
        case _:
            return {}


def _object(struct: Struct, required: tuple[str, ...], above: tuple[Struct, ...]) -> Schema:
    """Return the schema of a struct without the fields that it refuses. Other fields are allowed, and ignored."""
    read = {name: kind for name, kind in struct.fields.items() if not isinstance(kind, Refused)}
    properties: dict[str, Any] = {name: schema_of(kind, (), above) for name, kind in read.items()}
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}
