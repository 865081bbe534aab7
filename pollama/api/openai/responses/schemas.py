"""The request body of /v1/responses, field by field, and its translation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pollama.api.godecode import (
    Bool,
    Custom,
    Float,
    Ignored,
    Int,
    Kind,
    List,
    Map,
    Raw,
    Refused,
    String,
    Struct,
    Untyped,
    decode_value,
)
from pollama.api.messages import TOOL_PARAMETERS, parameters_from
from pollama.api.openai.decode import think_of
from pollama.api.openai.responses.conversation import messages_of
from pollama.api.openai.responses.items import read_input
from pollama.api.openai.schemas import UNUSED
from pollama.api.tool_choice import openai_choice
from pollama.api.web_search import WEB_SEARCH, web_search_tool
from pollama.errors import BadRequestError
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.messages import Message, Tool
from pollama.types.requests import ChatRequest, Format


def _struct(name: str, fields: dict[str, Kind]) -> Struct:
    return Struct(name, fields, "openai")


_TOOL_FIELDS: Final[dict[str, Kind]] = {
    "type": String(),
    "name": String(),
    "description": String(),
    "strict": Bool(),
    "parameters": Map(Untyped()),
    **dict.fromkeys(("allowed_callers", "async", "defer_loading", "format", "output_schema"), Ignored()),
    **dict.fromkeys(("external_web_access", "filters", "search_content_types", "search_context_size"), Ignored()),
    "user_location": Ignored(),
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
        "parallel_tool_calls": Bool(),
        "previous_response_id": String(),
        "reasoning": _struct(
            "ResponsesReasoning",
            {
                "effort": String(),
                "summary": String(),
                "context": Ignored(),
                "generate_summary": Ignored(),
                "mode": Ignored(),
            },
        ),
        "store": Bool(),
        "temperature": Float(),
        "text": _struct(
            "ResponsesText",
            {
                "format": _struct(
                    "ResponsesTextFormat",
                    {
                        "type": String(),
                        "name": String(),
                        "schema": Raw(),
                        "strict": Bool(),
                        "description": Ignored(),
                    },
                ),
                "verbosity": Ignored(),
            },
        ),
        "tool_choice": Untyped(),
        "tools": List(_TOOL),
        "top_p": Float(),
        "truncation": String(),
        "stream": Bool(),
        **UNUSED,
        "access_programs": Ignored(),
        "context_management": Ignored(),
        "conversation": Refused(),
        "image": Ignored(),
        "include": Ignored(),
        "max_tool_calls": Ignored(),
        "prompt": Refused(),
        "stream_options": Ignored(),
        "top_logprobs": Ignored(),
    },
)


def chat_request(fields: dict[str, Any], previous: Sequence[Message] = ()) -> ChatRequest:
    """Return the conversation to continue, behind the messages of a previous one. Raises BadRequestError."""
    options: dict[str, Json] = {"temperature": fields.get("temperature", 1.0)}
    for option, name in (("top_p", "top_p"), ("num_predict", "max_output_tokens")):
        if name in fields:
            options[option] = fields[name]
    offered = [tool for given in fields.get("tools", ()) for tool in _tools(given)]
    tool_choice, tools = openai_choice(fields.get("tool_choice"), offered)
    return ChatRequest(
        model=fields.get("model", ""),
        messages=[*_instructions(fields), *messages_of(fields.get("input", ()), previous)],
        tools=tools,
        tool_choice=tool_choice,
        options=options,
        think=think_of(fields.get("reasoning", {}).get("effort", "")),
        format=_format(fields.get("text", {}).get("format", {})),
    )


def _instructions(fields: dict[str, Any]) -> list[Message]:
    """Return the system message. It belongs to one response only: the next one states its own."""
    text = fields.get("instructions", "")
    return [Message(role="system", content=text)] if text else []


def searches_the_web(fields: dict[str, Any]) -> bool:
    """Return whether the request offers the built-in web search."""
    return any(tool.get("type", "").startswith(WEB_SEARCH) for tool in fields.get("tools", ()))


def _format(text: dict[str, Any]) -> Format:
    if text.get("type") == "json_object":
        return Format(given=True, value="json")
    if text.get("type") == "json_schema" and text.get("schema") is not None:
        return Format(given=True, value=text["schema"])
    return Format()


def _tools(given: dict[str, Any], prefix: str = "") -> Iterable[Tool]:
    kind = given.get("type", "")
    if kind == "namespace":
        for member in given.get("tools", ()):
            yield from _tools(member, f"{given.get('name', '')}.")
    elif kind.startswith(WEB_SEARCH):
        yield web_search_tool()
    elif not given.get("name") and kind not in ("", "function"):
        raise BadRequestError(f"tools of type {go_quote(kind)} are not supported")
    else:
        parameters = decode_value(TOOL_PARAMETERS, given.get("parameters"))
        yield Tool(
            type=kind,
            name=f"{prefix}{given.get('name', '')}",
            description=given.get("description", ""),
            parameters=parameters_from(parameters),
        )
