"""Bodies of /v1/messages to pollama's requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pollama.api.anthropic.schemas import CONTENT_BLOCK
from pollama.api.godecode import DecodeError, List, decode_value
from pollama.api.godecode.base64 import decode_base64
from pollama.api.messages import TOOL_PARAMETERS, parameters_from
from pollama.api.tool_choice import anthropic_choice
from pollama.api.web_search import WEB_SEARCH, web_search_tool
from pollama.errors import BadRequestError, NameRequiredError
from pollama.types import gojson
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.messages import Message, Think, Tool, ToolCall
from pollama.types.requests import ChatRequest, Format

_SERVER_TOOLS: Final = ("advisor", "code_execution", "tool_search_tool", "web_fetch")
"""Types of tools that Anthropic's own servers carry out; the web search is the one that is known here."""

_EFFORTS: Final[dict[str, Think]] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_BYTES_PER_TOKEN: Final = 4


def chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Return the conversation to continue. Raises BadRequestError."""
    if not fields.get("model"):
        raise NameRequiredError
    if fields.get("max_tokens", 0) <= 0:
        raise BadRequestError("max_tokens is required and must be positive")
    return replace(conversation(fields), options=_options(fields))


def conversation(fields: dict[str, Any]) -> ChatRequest:
    """Return what a request to count tokens has in common with one for an answer. Raises BadRequestError."""
    if not fields.get("model"):
        raise NameRequiredError
    if not fields.get("messages"):
        raise BadRequestError("messages is required")
    messages = [message for given in fields["messages"] for message in _messages(given)]
    system = system_text(fields.get("system"))
    return ChatRequest(
        model=fields["model"],
        messages=[Message(role="system", content=system), *messages] if system else messages,
        tools=_tools(fields.get("tools", ())),
        tool_choice=anthropic_choice(fields.get("tool_choice", {})),
        format=_format(fields.get("output_config", {}).get("format", {})),
        think=_think(fields),
        lenient_think=True,
    )


def searches_the_web(fields: dict[str, Any]) -> bool:
    """Return whether the request offers the built-in web search."""
    return any(_is_web_search(tool) for tool in fields.get("tools", ()))


def estimated_tokens(fields: dict[str, Any]) -> int:
    """Return a guess at the length of the prompt, for streams that begin before it is known."""
    texts = [system_text(fields.get("system"))]
    for message in fields.get("messages", ()):
        texts.append(message["role"])
        texts.extend(_block_text(block) for block in message["content"])
    for tool in fields.get("tools", ()):
        schema = tool.get("input_schema")
        texts += [tool.get("name", ""), tool.get("description", ""), gojson.dumps(schema) if schema else ""]
    return max(1, sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN)


def system_text(value: Json) -> str:
    """Return the system text, which may come as a list of blocks."""
    if isinstance(value, list):
        return "".join(_text_of(block) for block in value)
    return value if isinstance(value, str) else ""


def _text_of(block: Json) -> str:
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else ""
    return text if isinstance(text, str) else ""


def _block_text(block: dict[str, Any]) -> str:
    parts = [block.get("text", ""), block.get("thinking", "")]
    if block.get("type") in ("tool_use", "server_tool_use"):
        parts += [block.get("name", ""), gojson.dumps(block.get("input", {}))]
    content = block.get("content")
    if content is not None:
        parts.append(content if isinstance(content, str) else gojson.dumps(content))
    return "".join(parts)


def _options(fields: dict[str, Any]) -> dict[str, Json]:
    names = ("temperature", "top_p", "top_k")
    options: dict[str, Json] = {name: fields[name] for name in names if name in fields}
    stop = fields.get("stop_sequences")
    return {"num_predict": fields["max_tokens"], **options, **({"stop": stop} if stop else {})}


def _think(fields: dict[str, Any]) -> Think:
    kind = fields.get("thinking", {}).get("type", "")
    if kind in ("enabled", "disabled"):
        return bool(kind == "enabled")
    effort = fields.get("output_config", {}).get("effort", "")
    if effort and effort not in _EFFORTS:
        known = ", ".join(map(go_quote, _EFFORTS))
        raise BadRequestError(f"invalid output_config.effort: {go_quote(effort)} (must be one of {known})")
    return _EFFORTS.get(effort)


def _format(fields: dict[str, Any]) -> Format:
    if not fields:
        return Format()
    if fields.get("type") != "json_schema" or not isinstance(fields.get("schema"), dict):
        raise BadRequestError('output_config.format must be of type "json_schema" with a "schema"')
    return Format(given=True, value=fields["schema"])


def _messages(given: dict[str, Any]) -> list[Message]:
    """Return one message of the conversation, with the tool results that it carries as messages of their own."""
    role = given["role"].lower()
    message = Message(role=role)
    results: list[Message] = []
    for block in given["content"]:
        if block.get("type") == "tool_result":
            results.append(_tool_result(block))
        else:
            _add_block(message, block)
    own = [message] if message != Message(role=role) else []
    return [*results, *own] if role == "user" else [*own, *results]


def _add_block(message: Message, block: dict[str, Any]) -> None:
    kind = block.get("type")
    if kind == "text":
        message.content += block.get("text", "")
    elif kind == "image":
        message.images.append(_image(block.get("source"), "invalid image source"))
    elif kind == "thinking":
        message.thinking = block.get("thinking", "")
    elif kind in ("tool_use", "server_tool_use"):
        message.tool_calls.append(_tool_call(block))


def _tool_call(block: dict[str, Any]) -> ToolCall:
    for name in ("id", "name"):
        if not block.get(name):
            raise BadRequestError(f"tool_use block missing required '{name}' field")
    return ToolCall(id=block["id"], name=block["name"], arguments=block.get("input", {}))


def _image(source: dict[str, Any] | None, invalid: str) -> bytes:
    if source is None:
        raise BadRequestError(invalid)
    kind = source.get("type", "")
    if kind != "base64":
        raise BadRequestError(f"invalid image source type: {kind}. Only base64 images are supported.")
    try:
        return decode_base64(source.get("data", ""))
    except DecodeError as error:
        raise BadRequestError(f"invalid base64 image data: {error}") from None


def _tool_result(block: dict[str, Any]) -> Message:
    message = Message(role="tool", tool_call_id=block.get("tool_use_id", ""))
    content = block.get("content")
    if isinstance(content, str):
        message.content = content
    elif isinstance(content, list):
        for part in decode_value(List(CONTENT_BLOCK), content):
            if part.get("type") == "text":
                message.content += part.get("text", "")
            elif part.get("type") == "image":
                message.images.append(_image(part.get("source"), "invalid tool_result image source"))
    return message


def _tools(given: Iterable[dict[str, Any]]) -> list[Tool]:
    given = list(given)
    built_in = any(_is_web_search(tool) for tool in given)
    if not built_in:
        return [_tool(tool) for tool in given]
    own = [_tool(tool) for tool in given if not _is_web_search(tool) and tool.get("name") != WEB_SEARCH]
    return [*own, web_search_tool()]


def _is_web_search(tool: dict[str, Any]) -> bool:
    return bool(tool.get("type", "").startswith(WEB_SEARCH))


def _tool(tool: dict[str, Any]) -> Tool:
    name = tool.get("name", "")
    kind = tool.get("type", "")
    if kind.startswith(_SERVER_TOOLS) or (not name and kind not in ("", "custom")):
        raise BadRequestError(f"tools of type {go_quote(kind)} are not supported")
    try:
        parameters = decode_value(TOOL_PARAMETERS, tool.get("input_schema"))
    except DecodeError as error:
        raise BadRequestError(f"invalid input_schema for tool {go_quote(name)}: {error}") from None
    return Tool(
        type="function", name=name, description=tool.get("description", ""), parameters=parameters_from(parameters)
    )
