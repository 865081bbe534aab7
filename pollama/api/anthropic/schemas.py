"""The request body of /v1/messages, field by field."""

from __future__ import annotations

from typing import Any, Final

from pollama.api.godecode import (
    Bool,
    Custom,
    DecodeError,
    Float,
    Int,
    Kind,
    List,
    Raw,
    String,
    Struct,
    Untyped,
    decode_value,
)
from pollama.api.messages import ARGUMENTS
from pollama.types.json import Json

_PACKAGE: Final = "anthropic"


def _struct(name: str, fields: dict[str, Kind]) -> Struct:
    return Struct(name, fields, _PACKAGE)


SOURCE: Final = _struct("ImageSource", {"type": String(), "media_type": String(), "data": String(), "url": String()})
CONTENT_BLOCK: Final = _struct(
    "ContentBlock",
    {
        "type": String(),
        "text": String(),
        "source": SOURCE,
        "id": String(),
        "name": String(),
        "input": ARGUMENTS,
        "tool_use_id": String(),
        "content": Untyped(),
        "is_error": Bool(),
        "thinking": String(),
        "signature": String(),
    },
)
_BLOCKS: Final = List(CONTENT_BLOCK)
_MESSAGE_FIELDS: Final = _struct("MessageParam", {"role": String(), "content": Raw()})


def _message(fields: dict[str, Any]) -> dict[str, Any]:
    if "content" not in fields:
        raise DecodeError("unexpected end of JSON input")
    return {"role": fields.get("role", ""), "content": _content(fields["content"])}


def _content(value: Json) -> list[dict[str, Any]]:
    """Return content blocks; a text stands for one block."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    return decode_value(_BLOCKS, value) or []


MESSAGE: Final = Custom("anthropic.MessageParam", _message, body=_MESSAGE_FIELDS)
TOOL: Final = _struct(
    "Tool", {"type": String(), "name": String(), "description": String(), "input_schema": Raw(), "max_uses": Int()}
)
MESSAGES: Final = _struct(
    "MessagesRequest",
    {
        "model": String(),
        "max_tokens": Int(),
        "messages": List(MESSAGE),
        "system": Untyped(),
        "stream": Bool(),
        "temperature": Float(),
        "top_p": Float(),
        "top_k": Int(),
        "stop_sequences": List(String()),
        "tools": List(TOOL),
        "thinking": _struct("ThinkingConfig", {"type": String(), "budget_tokens": Int()}),
        "output_config": _struct("OutputConfig", {"effort": String()}),
    },
)
