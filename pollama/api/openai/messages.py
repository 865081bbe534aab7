"""Messages of chat/completions to pollama's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from pollama.api.godecode import DecodeError, unmarshal, untyped_name
from pollama.api.godecode.base64 import decode_base64
from pollama.api.messages import ARGUMENTS
from pollama.errors import BadRequestError
from pollama.types.json import Json
from pollama.types.messages import Message, ToolCall

_IMAGE_PREFIX: Final = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,")


def messages_of(given: Sequence[dict[str, Any]]) -> list[Message]:
    """Return the conversation. Raises BadRequestError; a message with a list of parts becomes one message per part."""
    return [message for fields in given for message in _messages(fields, given)]


def _messages(fields: dict[str, Any], given: Sequence[dict[str, Any]]) -> list[Message]:
    content = fields.get("content")
    calls = [_tool_call(call) for call in fields.get("tool_calls", ())]
    if isinstance(content, list):
        return _with_calls([_part(fields.get("role", ""), part) for part in content], fields, calls)
    if not isinstance(content, str) and not fields.get("tool_calls"):
        raise BadRequestError(f"invalid message content type: {untyped_name(content)}")
    return [
        Message(
            role=fields.get("role", "").lower(),
            content=content if isinstance(content, str) else "",
            thinking=fields.get("reasoning", ""),
            tool_calls=calls,
            tool_name=_tool_name(fields, given),
            tool_call_id=fields.get("tool_call_id", ""),
        )
    ]


def _with_calls(parts: list[Message], fields: dict[str, Any], calls: list[ToolCall]) -> list[Message]:
    if not parts or not calls:
        return parts
    last = replace(
        parts[-1],
        tool_calls=calls,
        tool_call_id=fields.get("tool_call_id", ""),
        thinking=fields.get("reasoning", ""),
    )
    return [*parts[:-1], last]


def _tool_name(fields: dict[str, Any], given: Iterable[dict[str, Any]]) -> str:
    """Return ``name``, or the name of the last call with the id that this message answers."""
    if fields.get("role", "").lower() != "tool":
        return ""
    wanted = fields.get("tool_call_id")
    name: str = fields.get("name", "")
    if name or not wanted:
        return name
    calls = [call for other in given for call in other.get("tool_calls", ()) if call.get("id") == wanted]
    return calls[-1].get("function", {}).get("name", "") if calls else ""


def _tool_call(fields: dict[str, Any]) -> ToolCall:
    function = fields.get("function", {})
    try:
        arguments = unmarshal(ARGUMENTS, function.get("arguments", ""))
    except DecodeError:
        raise BadRequestError("invalid tool call arguments") from None
    return ToolCall(
        id=fields.get("id", ""), name=function.get("name", ""), arguments=arguments, index=fields.get("index", 0)
    )


def _part(role: str, part: Json) -> Message:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return Message(role=role.lower(), content=part["text"])
    if kind == "image_url":
        return Message(role=role.lower(), images=[_image(part.get("image_url"))])
    if kind == "input_audio":
        return Message(role=role.lower(), images=[_audio(part.get("input_audio"))])
    raise BadRequestError("invalid message format")


def _image(value: Json) -> bytes:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        raise BadRequestError("invalid message format")
    return decode_image_url(url)


def decode_image_url(url: str) -> bytes:
    """Return the bytes of a data URL. Raises BadRequestError for every other URL."""
    if url.startswith(("http://", "https://")):
        raise BadRequestError("image URLs are not currently supported, please use base64 encoded data instead")
    prefix = _IMAGE_PREFIX.match(url)
    try:
        if prefix:
            return decode_base64(url[prefix.end() :])
    except DecodeError:
        pass
    raise BadRequestError("invalid image input")


def _audio(value: Json) -> bytes:
    if not isinstance(value, dict):
        raise BadRequestError("invalid input_audio format")
    data = value.get("data")
    if not isinstance(data, str) or not data:
        raise BadRequestError("invalid input_audio format: missing data")
    try:
        return decode_base64(data)
    except DecodeError as error:
        raise BadRequestError(f"invalid input_audio base64 data: {error}") from None
