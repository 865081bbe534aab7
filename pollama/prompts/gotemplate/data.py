"""Messages and tools as the Go values that templates read, and their JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pollama.prompts.gotemplate.formatting import sprint
from pollama.prompts.gotemplate.values import Boxed, Mapping, Pointer, Slice, Struct, Value, from_json
from pollama.prompts.tool_json import parameters_json, property_json, tool_json
from pollama.types import gojson
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty


def message_values(messages: Sequence[Message]) -> Slice:
    """Return ``.Messages``."""
    return _typed("[]*template.templateMessage", [Pointer(_message(message)) for message in messages])


def tool_values(tools: Sequence[Tool]) -> Slice:
    """Return ``.Tools``, which prints as JSON."""
    return Slice(
        "template.templateTools",
        [_tool(tool) for tool in tools],
        is_nil=not tools,
        text=lambda: gojson.dumps([_tool_json(tool) for tool in tools]) if tools else "null",
    )


def _typed(type_name: str, items: Sequence[Value]) -> Slice:
    return Slice(type_name, items, is_nil=not items)


def _message(message: Message) -> Struct:
    fields = {
        "Role": message.role,
        "Content": message.content,
        "Thinking": message.thinking,
        "Images": _typed("[]api.ImageData", message.images),
        "ToolCalls": _typed("[]template.templateToolCall", [_tool_call(call) for call in message.tool_calls]),
        "ToolName": message.tool_name,
        "ToolCallID": message.tool_call_id,
    }
    return Struct("template.templateMessage", fields)


def _tool_call(call: ToolCall) -> Struct:
    function = {"Index": call.index, "Name": call.name, "Arguments": _arguments(call.arguments)}
    fields = {"ID": call.id, "Function": Struct("template.templateToolCallFunction", function)}
    return Struct("template.templateToolCall", fields)


def _arguments(arguments: dict[str, Json] | None) -> Mapping:
    entries = None if arguments is None else from_json(arguments)
    return Mapping(
        "template.templateArgs",
        entries,
        zero=None,
        text=lambda: gojson.dumps(sorted_maps(entries or {})),
        json=lambda: sorted_maps(entries),
    )


def _tool(tool: Tool) -> Struct:
    fields = {"Type": tool.type, "Items": Boxed(from_json(tool.items)), "Function": _function(tool)}
    return Struct(
        "template.templateTool",
        fields,
        methods={"String": lambda: gojson.dumps(_tool_json(tool))},
        json=lambda: _tool_json(tool),
    )


def _function(tool: Tool) -> Struct:
    fields = {"Name": tool.name, "Description": tool.description, "Parameters": _parameters(tool.parameters)}
    return Struct("template.templateToolFunction", fields, json=lambda: _function_json(tool))


def _parameters(parameters: ToolParameters) -> Struct:
    fields = {
        "Type": parameters.type,
        "Defs": Boxed(from_json(parameters.defs)),
        "Items": Boxed(from_json(parameters.items)),
        "Required": _typed("[]string", parameters.required),
        "Properties": _properties(parameters.properties, "template.templateProperties"),
    }
    return Struct("template.templateToolFunctionParameters", fields, json=lambda: _parameters_json(parameters))


def _properties(properties: dict[str, ToolProperty] | None, type_name: str) -> Mapping:
    entries = None if properties is None else {name: _property(item) for name, item in properties.items()}
    return Mapping(
        type_name,
        entries,
        zero=_property(ToolProperty()),
        text=lambda: gojson.dumps(_properties_json(properties or {})),
        json=lambda: None if properties is None else _properties_json(properties),
    )


def _property(item: ToolProperty) -> Struct:
    types = item.type
    fields = {
        "AnyOf": _typed("[]api.ToolProperty", [_property(alternative) for alternative in item.any_of]),
        "Type": Slice(
            "api.PropertyType",
            types,
            is_nil=not types,
            text=lambda: sprint([list(types)]) if len(types) > 1 else "".join(types),
        ),
        "Items": Boxed(from_json(item.items)),
        "Description": item.description,
        "Enum": from_json(item.enum),
        "Properties": _nested_properties(item.properties),
        "Required": _typed("[]string", item.required),
    }
    return Struct(
        "api.ToolProperty",
        fields,
        methods={"ToTypeScriptType": lambda: typescript_type(item)},
        json=lambda: from_json(property_json(item)),
    )


def _nested_properties(properties: dict[str, ToolProperty] | None) -> Value:
    return _properties(properties, "*api.ToolPropertiesMap") if properties is not None else Boxed(None)


_TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


def typescript_type(item: ToolProperty) -> str:
    """Return the TypeScript type nearest to a property."""
    if item.any_of:
        return " | ".join(map(typescript_type, item.any_of))
    if not item.type:
        return "any"
    return " | ".join(_TYPESCRIPT.get(name, "any") for name in item.type)


def _tool_json(tool: Tool) -> dict[str, Any]:
    """Return a tool as templates print it: the description always there, top-level properties sorted."""
    return {**from_json(tool_json(tool)), "function": _function_json(tool)}


def _function_json(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": _parameters_json(tool.parameters)}


def _parameters_json(parameters: ToolParameters) -> dict[str, Any]:
    properties = parameters.properties
    shown = None if properties is None else _properties_json(properties)
    return {**from_json(parameters_json(parameters)), "properties": shown}


def _properties_json(properties: dict[str, ToolProperty]) -> dict[str, Any]:
    return {name: from_json(property_json(properties[name])) for name in sorted(properties)}
