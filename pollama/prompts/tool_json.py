"""Tools as JSON values, in Ollama's key order. Keywords of JSON Schema that Ollama does not keep are gone already."""

from __future__ import annotations

from typing import Any

from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolParameters, ToolProperty


def tool_json(tool: Tool) -> dict[str, Any]:
    """Return a tool as the API writes it: properties keep the order of the request."""
    return {"type": tool.type, **_given({"items": sorted_maps(tool.items)}), "function": function_json(tool)}


def function_json(tool: Tool) -> dict[str, Any]:
    """Return the function of a tool."""
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **description, "parameters": parameters_json(tool.parameters)}


def parameters_json(parameters: ToolParameters) -> dict[str, Any]:
    """Return the parameters of a function; absent properties are null."""
    return {
        "type": parameters.type,
        **_given({"$defs": sorted_maps(parameters.defs), "items": sorted_maps(parameters.items)}),
        **({"required": parameters.required} if parameters.required else {}),
        "properties": properties_json(parameters.properties),
    }


def properties_json(properties: dict[str, ToolProperty] | None) -> dict[str, Any] | None:
    """Return properties in their own order."""
    return None if properties is None else {name: property_json(item) for name, item in properties.items()}


def property_json(item: ToolProperty) -> dict[str, Any]:
    """Return one property; what is empty is left out."""
    lists = {
        "anyOf": [property_json(alternative) for alternative in item.any_of],
        "type": item.type[0] if len(item.type) == 1 else list(item.type),
    }
    return {
        **{key: value for key, value in lists.items() if value},
        **_given({"items": sorted_maps(item.items)}),
        **({"description": item.description} if item.description else {}),
        **({"enum": sorted_maps(item.enum)} if item.enum else {}),
        **_given({"properties": properties_json(item.properties)}),
        **({"required": item.required} if item.required else {}),
    }


def _given(members: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in members.items() if value is not None}
