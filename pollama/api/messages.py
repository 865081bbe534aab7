"""The parts of a request that every dialect shares: messages, tools, ``think``, ``keep_alive``, images.

Each is a kind for ``godecode`` that ends in pollama's own values; ``encode_message`` is the way back.
"""

from __future__ import annotations

from typing import Any, Final

from pollama.api.godecode import (
    Bytes,
    Custom,
    DecodeError,
    Float,
    Int,
    List,
    String,
    Struct,
    Untyped,
    decode_value,
    untyped_name,
)
from pollama.types.goquote import go_quote
from pollama.types.human import SECOND, parse_duration
from pollama.types.json import Json
from pollama.types.messages import Message, Think, Tool, ToolCall, ToolParameters, ToolProperty
from pollama.types.requests import FOREVER

_THINK_VALUES: Final = '"high", "medium", "low", "max", true, or false'
_NOT_AN_OBJECT: Final = "Value looks like object, but can't find closing '}' symbol"
_MAX_NANOSECONDS: Final = 2**63 - 1


def _think(value: Json) -> Think:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise DecodeError(f"think must be a boolean or string ({_THINK_VALUES})")
    if value not in ("high", "medium", "low", "max"):
        raise DecodeError(f"invalid think value: {go_quote(value)} (must be {_THINK_VALUES})")
    return value  # type: ignore[return-value]


def keep_alive_nanoseconds(value: Json) -> int:
    """Return the duration of a ``keep_alive`` value; negative ones mean for ever. Raises DecodeError."""
    if isinstance(value, str):
        try:
            nanoseconds = parse_duration(value)
        except ValueError as error:
            raise DecodeError(str(error)) from None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = decode_value(Float(), value)
        nanoseconds = -1 if seconds < 0 else int(min(seconds * SECOND, float(2**63)))
    else:
        raise DecodeError(f"Unsupported type: '{untyped_name(value)}'")
    return nanoseconds if 0 <= nanoseconds <= _MAX_NANOSECONDS else _MAX_NANOSECONDS


def _keep_alive(value: Json) -> float:
    nanoseconds = keep_alive_nanoseconds(value)
    return FOREVER if nanoseconds == _MAX_NANOSECONDS else nanoseconds / SECOND


def _ordered(value: Json) -> dict[str, Json] | None:
    """Check the members of an object whose key order counts. Raises DecodeError for what is no object."""
    if value is not None and not isinstance(value, dict):
        raise DecodeError(_NOT_AN_OBJECT)
    return value


def _arguments(value: Json) -> dict[str, Json]:
    return {key: decode_value(Untyped(), item) for key, item in (_ordered(value) or {}).items()}


def _properties(value: Json) -> dict[str, ToolProperty]:
    return {key: _property(decode_value(TOOL_PROPERTY, item)) for key, item in (_ordered(value) or {}).items()}


def _property_type(value: Json) -> tuple[str, ...]:
    if value is None or isinstance(value, str):
        return (value or "",)
    return tuple(decode_value(List(String()), value))


def _property(fields: dict[str, Any]) -> ToolProperty:
    return ToolProperty(
        any_of=[_property(item) for item in fields.get("anyOf", ())],
        type=fields.get("type", ()),
        items=fields.get("items"),
        description=fields.get("description", ""),
        enum=fields.get("enum", []),
        properties=fields.get("properties"),
        required=fields.get("required", []),
    )


def _tool_call(fields: dict[str, Any]) -> ToolCall:
    function = fields.get("function", {})
    return ToolCall(
        name=function.get("name", ""),
        arguments=function.get("arguments", {}),
        index=function.get("index", 0),
        id=fields.get("id", ""),
    )


def _message(fields: dict[str, Any]) -> Message:
    return Message(
        role=fields.get("role", "").lower(),
        content=fields.get("content", ""),
        thinking=fields.get("thinking", ""),
        images=fields.get("images", []),
        tool_calls=[_tool_call(call) for call in fields.get("tool_calls", ())],
        tool_name=fields.get("tool_name", ""),
        tool_call_id=fields.get("tool_call_id", ""),
    )


def tool_from(fields: dict[str, Any]) -> Tool:
    """Return the tool of a decoded TOOL struct."""
    function = fields.get("function", {})
    return Tool(
        type=fields.get("type", ""),
        items=fields.get("items"),
        name=function.get("name", ""),
        description=function.get("description", ""),
        parameters=parameters_from(function.get("parameters", {})),
    )


def parameters_from(fields: dict[str, Any]) -> ToolParameters:
    """Return the parameters of a decoded TOOL_PARAMETERS struct."""
    return ToolParameters(
        type=fields.get("type", ""),
        defs=fields.get("$defs"),
        items=fields.get("items"),
        required=fields.get("required", []),
        properties=fields.get("properties"),
    )


THINK: Final = Custom("api.ThinkValue", _think, pointer=True)
KEEP_ALIVE: Final = Custom("api.Duration", _keep_alive, pointer=True)
IMAGES: Final = List(Bytes("api.ImageData"), "[]api.ImageData")
ARGUMENTS: Final = Custom("api.ToolCallFunctionArguments", _arguments)
PROPERTY_TYPE: Final = Custom("api.PropertyType", _property_type)
PROPERTIES: Final = Custom("api.ToolPropertiesMap", _properties, pointer=True)

_PROPERTY_FIELDS: Final[dict[str, Any]] = {
    "type": PROPERTY_TYPE,
    "items": Untyped(),
    "description": String(),
    "enum": List(Untyped()),
    "properties": PROPERTIES,
    "required": List(String()),
}
TOOL_PROPERTY: Final = Struct("ToolProperty", _PROPERTY_FIELDS)
_PROPERTY_FIELDS["anyOf"] = List(TOOL_PROPERTY)

TOOL_PARAMETERS: Final = Struct(
    "ToolFunctionParameters",
    {
        "type": String(),
        "$defs": Untyped(),
        "items": Untyped(),
        "required": List(String()),
        "properties": PROPERTIES,
    },
)
TOOL_FUNCTION: Final = Struct(
    "ToolFunction", {"name": String(), "description": String(), "parameters": TOOL_PARAMETERS}
)
TOOL: Final = Struct("Tool", {"type": String(), "items": Untyped(), "function": TOOL_FUNCTION})
TOOLS: Final = List(TOOL, "api.Tools")

_TOOL_CALL_FUNCTION: Final = Struct("ToolCallFunction", {"index": Int(), "name": String(), "arguments": ARGUMENTS})
_TOOL_CALL: Final = Struct("ToolCall", {"id": String(), "function": _TOOL_CALL_FUNCTION})
_MESSAGE_FIELDS: Final = Struct(
    "Alias",
    {
        "role": String(),
        "content": String(),
        "thinking": String(),
        "images": IMAGES,
        "tool_calls": List(_TOOL_CALL),
        "tool_name": String(),
        "tool_call_id": String(),
    },
)
MESSAGE: Final = Custom("api.Message", _message, body=_MESSAGE_FIELDS)
MESSAGES: Final = List(MESSAGE)


def encode_tool_call(call: ToolCall) -> dict[str, Json]:
    """Return a tool call as the native dialect writes it."""
    function = {"index": call.index, "name": call.name, "arguments": call.arguments or {}}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def encode_message(message: Message) -> dict[str, Json]:
    """Return a message as the native dialect writes it; empty fields other than role and content are left out."""
    optional = {
        "thinking": message.thinking,
        "images": message.images,
        "tool_calls": [encode_tool_call(call) for call in message.tool_calls],
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    return {"role": message.role, "content": message.content} | {key: item for key, item in optional.items() if item}
