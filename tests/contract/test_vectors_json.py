"""JSON values decoded and written again exactly as Go does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from pollama.api.godecode import DecodeError, Struct, Untyped, unmarshal
from pollama.api.messages import (
    ARGUMENTS,
    KEEP_ALIVE,
    MESSAGE,
    PROPERTY_TYPE,
    THINK,
    TOOL,
    encode_message,
    keep_alive_nanoseconds,
    tool_from,
)
from pollama.types import gojson
from pollama.types.human import format_duration
from pollama.types.messages import Tool, ToolProperty
from tests.contract.vectors import Vector, load_vectors, vector_id

_HOLDERS = {"think": Struct("holder", {"think": THINK}), "duration": Struct("holder", {"keep_alive": KEEP_ALIVE})}


def _think(text: bytes) -> dict[str, Any]:
    fields = unmarshal(_HOLDERS["think"], b'{"think":' + text + b"}")
    value = fields.get("think")
    level = "" if not value else "medium" if value is True else value
    return {"set": "think" in fields, "value": value, "bool": bool(value), "string": level, "marshal": _dump(fields)}


def _duration(text: bytes) -> dict[str, Any]:
    fields = unmarshal(_HOLDERS["duration"], b'{"keep_alive":' + text + b"}")
    if "keep_alive" not in fields:
        return {"set": False, "ns": None, "marshal": "{}"}
    nanoseconds = keep_alive_nanoseconds(unmarshal(Untyped(), text))
    string = format_duration(nanoseconds)
    return {"set": True, "ns": str(nanoseconds), "string": string, "marshal": _dump({"keep_alive": string})}


def _message(text: bytes) -> dict[str, Any]:
    return {"marshal": _dump(encode_message(unmarshal(MESSAGE, text)))}


def _tool(text: bytes) -> dict[str, Any]:
    return {"marshal": _dump(_encode_tool(tool_from(unmarshal(TOOL, text))))}


def _tool_arguments(text: bytes) -> dict[str, Any]:
    arguments = unmarshal(ARGUMENTS, text)
    return {"marshal": _dump(arguments), "len": len(arguments)}


def _property_type(text: bytes) -> dict[str, Any]:
    types = unmarshal(PROPERTY_TYPE, text)
    shown = types[0] if len(types) == 1 else f"[{' '.join(types)}]"
    return {"types": list(types), "marshal": _dump(types[0] if len(types) == 1 else types), "string": shown}


def _any(text: bytes) -> dict[str, Any]:
    return {"marshal": _dump(unmarshal(Untyped(), text))}


def _dump(value: Any) -> str:
    return gojson.dumps(value)


def _encode_tool(tool: Tool) -> dict[str, Any]:
    parameters = {
        "type": tool.parameters.type,
        **_given({"$defs": tool.parameters.defs, "items": tool.parameters.items}),
        **_given({"required": tool.parameters.required or None}),
        "properties": _encode_properties(tool.parameters.properties),
    }
    function = {"name": tool.name, **_given({"description": tool.description or None}), "parameters": parameters}
    return {"type": tool.type, **_given({"items": tool.items}), "function": function}


def _encode_properties(properties: dict[str, ToolProperty] | None) -> dict[str, Any] | None:
    return None if properties is None else {key: _encode_property(value) for key, value in properties.items()}


def _encode_property(value: ToolProperty) -> dict[str, Any]:
    types = value.type[0] if len(value.type) == 1 else value.type or None
    return _given(
        {
            "anyOf": [_encode_property(item) for item in value.any_of] or None,
            "type": types,
            "items": value.items,
            "description": value.description or None,
            "enum": value.enum or None,
            "properties": _encode_properties(value.properties),
            "required": value.required or None,
        }
    )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


_DECODERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "think": _think,
    "duration": _duration,
    "message": _message,
    "tool": _tool,
    "tool_arguments": _tool_arguments,
    "property_type": _property_type,
    "any": _any,
}
_VECTORS = [vector for vector in load_vectors("json_values") if vector["input"]["kind"] in _DECODERS]


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["b64"])


@pytest.mark.parametrize("vector", _VECTORS, ids=vector_id)
def test_a_value_is_read_as_go_reads_it(vector: Vector) -> None:
    decode, text = _DECODERS[vector["input"]["kind"]], _bytes(vector["input"]["json"])
    if "error" in vector:
        with pytest.raises(DecodeError) as caught:
            decode(text)
        assert str(caught.value) == vector["error"]
    elif vector.get("platform_dependent"):
        assert decode(text)["set"] is True
    else:
        wanted = {key: value for key, value in vector["output"].items() if key != "print"}
        assert decode(text) == wanted
