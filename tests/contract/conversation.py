"""Messages and tools of vectors as pollama's own types."""

from __future__ import annotations

import base64

from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty
from tests.contract.vectors import Vector, as_text, load_toolset


def messages_of(items: list[Vector] | None) -> list[Message]:
    """Return the messages of a vector."""
    return [message_of(item) for item in items or []]


def message_of(item: Vector) -> Message:
    """Return one message of a vector."""
    return Message(
        role=item["role"].lower(),
        content=as_text(item.get("content") or ""),
        thinking=item.get("thinking", ""),
        images=[base64.b64decode(image) for image in item.get("images", [])],
        tool_calls=[_call_of(call) for call in item.get("tool_calls", [])],
        tool_name=item.get("tool_name", ""),
        tool_call_id=item.get("tool_call_id", ""),
    )


def _call_of(item: Vector) -> ToolCall:
    function = item["function"]
    return ToolCall(
        name=function["name"],
        arguments=function.get("arguments"),
        index=function.get("index", 0),
        id=item.get("id", ""),
    )


def tools_of(tools: str | list[Vector] | None) -> list[Tool]:
    """Return the tools of a vector."""
    return [_tool_of(tool) for tool in load_toolset(tools)]


def _tool_of(item: Vector) -> Tool:
    function = item["function"]
    return Tool(
        name=function.get("name", ""),
        description=function.get("description", ""),
        parameters=_parameters_of(function.get("parameters") or {}),
        type=item.get("type", ""),
        items=item.get("items"),
    )


def _parameters_of(item: Vector) -> ToolParameters:
    return ToolParameters(
        type=item.get("type", ""),
        defs=item.get("$defs"),
        items=item.get("items"),
        required=item.get("required") or [],
        properties=_properties_of(item.get("properties")),
    )


def _properties_of(item: Vector | None) -> dict[str, ToolProperty] | None:
    return None if item is None else {name: _property_of(value) for name, value in item.items()}


def _property_of(item: Vector) -> ToolProperty:
    return ToolProperty(
        any_of=[_property_of(alternative) for alternative in item.get("anyOf") or []],
        type=_types_of(item.get("type")),
        items=item.get("items"),
        description=item.get("description", ""),
        enum=item.get("enum") or [],
        properties=_properties_of(item.get("properties")),
        required=item.get("required") or [],
    )


def _types_of(value: Json) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
