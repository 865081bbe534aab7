"""The request body of /v1/responses, field by field, and its translation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pollama.api.godecode import Bool, Custom, Float, Int, Kind, List, Map, Raw, String, Struct, Untyped, decode_value
from pollama.api.messages import TOOL_PARAMETERS, parameters_from
from pollama.api.openai.decode import think_of
from pollama.api.openai.responses.conversation import messages_of
from pollama.api.openai.responses.items import read_input
from pollama.api.web_search import WEB_SEARCH, web_search_tool
from pollama.types.json import Json
from pollama.types.messages import Tool
from pollama.types.requests import ChatRequest, Format


def _struct(name: str, fields: dict[str, Kind]) -> Struct:
    return Struct(name, fields, "openai")


_TOOL_FIELDS: Final[dict[str, Kind]] = {
    "type": String(),
    "name": String(),
    "description": String(),
    "strict": Bool(),
    "parameters": Map(Untyped()),
}
_TOOL: Final = _struct("ResponsesTool", _TOOL_FIELDS)
_TOOL_FIELDS["tools"] = List(_TOOL)

RESPONSES: Final = _struct(
    "ResponsesRequest",
    {
        "model": String(),
        "background": Bool(),
        "input": Custom("openai.ResponsesInput", read_input),
        "instructions": String(),
        "max_output_tokens": Int(),
        "reasoning": _struct("ResponsesReasoning", {"effort": String(), "summary": String()}),
        "temperature": Float(),
        "text": _struct(
            "ResponsesText",
            {
                "format": _struct(
                    "ResponsesTextFormat", {"type": String(), "name": String(), "schema": Raw(), "strict": Bool()}
                )
            },
        ),
        "tools": List(_struct("ResponsesTool", _TOOL_FIELDS)),
        "top_p": Float(),
        "truncation": String(),
        "stream": Bool(),
    },
)


def chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Return the conversation to continue. Raises BadRequestError."""
    options: dict[str, Json] = {"temperature": fields.get("temperature", 1.0)}
    for option, name in (("top_p", "top_p"), ("num_predict", "max_output_tokens")):
        if name in fields:
            options[option] = fields[name]
    text = fields.get("text", {}).get("format", {})
    return ChatRequest(
        model=fields.get("model", ""),
        messages=messages_of(fields.get("input", ()), fields.get("instructions", "")),
        tools=[tool for given in fields.get("tools", ()) for tool in _tools(given)],
        options=options,
        think=think_of(fields.get("reasoning", {}).get("effort", "")),
        format=Format(given=True, value=text["schema"]) if _has_schema(text) else Format(),
    )


def searches_the_web(fields: dict[str, Any]) -> bool:
    """Return whether the request offers the built-in web search."""
    return any(tool.get("type", "").startswith(WEB_SEARCH) for tool in fields.get("tools", ()))


def _has_schema(text: dict[str, Any]) -> bool:
    return text.get("type") == "json_schema" and text.get("schema") is not None


def _tools(given: dict[str, Any], prefix: str = "") -> Iterable[Tool]:
    kind = given.get("type", "")
    if kind == "namespace":
        for member in given.get("tools", ()):
            yield from _tools(member, f"{given.get('name', '')}.")
    elif kind.startswith(WEB_SEARCH):
        yield web_search_tool()
    else:
        parameters = decode_value(TOOL_PARAMETERS, given.get("parameters"))
        yield Tool(
            type=kind,
            name=f"{prefix}{given.get('name', '')}",
            description=given.get("description", ""),
            parameters=parameters_from(parameters),
        )
