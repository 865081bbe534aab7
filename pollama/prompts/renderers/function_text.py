"""A function as JSON, as several families list their tools."""

from __future__ import annotations

from typing import Any

from pollama.prompts.renderers.values import raw_spaced_json, spaced_json
from pollama.prompts.tool_json import parameters_json, properties_json
from pollama.types.messages import Tool


def described_function(tool: Tool) -> dict[str, Any]:
    """Return the function of a tool with its description even where that is empty."""
    return {"name": tool.name, "description": tool.description, "parameters": parameters_json(tool.parameters)}


def raw_function_json(tool: Tool, function: dict[str, Any]) -> str:
    """Return ``function``, whose last member are the parameters of ``tool``, as spaced JSON.

    Only the properties, the last member of the parameters, escape HTML.
    """
    head = raw_spaced_json({**function, "parameters": {**function["parameters"], "properties": None}})
    return head.removesuffix("null}}") + spaced_json(properties_json(tool.parameters.properties)) + "}}"
