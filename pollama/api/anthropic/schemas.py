"""The request body of /v1/messages, field by field."""

from __future__ import annotations

from typing import Any, Final

from pollama.api.anthropic.errors import ThreadRefusedError
from pollama.api.godecode import (
    Bool,
    Custom,
    DecodeError,
    Float,
    Ignored,
    Int,
    Kind,
    List,
    Raw,
    Refused,
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


SOURCE: Final = _struct(
    "ImageSource",
    {
        "type": String(),
        "media_type": Ignored(String()),
        "data": String(),
        "url": Ignored(String()),
        "file_id": Ignored(),
    },
)
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
        "is_error": Ignored(Bool()),
        "thinking": String(),
        "signature": Ignored(String()),
        "cache_control": Ignored(),
        "caller": Ignored(),
        "citations": Ignored(),
        "toolset_name": Ignored(),
        "transformations": Ignored(),
    },
)
_BLOCKS: Final = List(CONTENT_BLOCK)
_MESSAGE_FIELDS: Final = _struct(
    "MessageParam", {"role": String(), "content": Raw(), "clear_at": Ignored(), "output_config": Ignored()}
)


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
    "Tool",
    {
        "type": String(),
        "name": String(),
        "description": String(),
        "input_schema": Raw(),
        "max_uses": Ignored(Int()),
        **dict.fromkeys(("allowed_callers", "cache_control", "defer_loading", "eager_input_streaming"), Ignored()),
        **dict.fromkeys(("input_examples", "strict", "max_characters"), Ignored()),
        **dict.fromkeys(("allowed_domains", "blocked_domains", "response_inclusion", "user_location"), Ignored()),
        **dict.fromkeys(("display_height_px", "display_number", "display_width_px", "enable_zoom"), Ignored()),
    },
)
_TOOL_CHOICE: Final[dict[str, Kind]] = {"type": String(), "name": String()}
_CONVERSATION: Final[dict[str, Kind]] = {
    "model": String(),
    "messages": List(MESSAGE),
    "system": Untyped(),
    "tools": List(TOOL),
    "thinking": _struct(
        "ThinkingConfig",
        {"type": String(), "budget_tokens": Ignored(Int()), "display": Ignored(), "block_binding": Ignored()},
    ),
    "output_config": _struct(
        "OutputConfig",
        {
            "effort": String(),
            "format": _struct("OutputFormat", {"type": String(), "schema": Raw()}),
            "task_budget": Ignored(),
        },
    ),
    "cache_control": Ignored(),
    "speed": Ignored(),
    "user_profile_id": Ignored(),
    "workspace_id": Ignored(),
    "context_management": Ignored(),
    "mcp_servers": Refused(harmless=([],)),
}
COUNT_TOKENS: Final = _struct(
    "CountTokensRequest",
    {
        **_CONVERSATION,
        "tool_choice": _struct("ToolChoice", {**_TOOL_CHOICE, "disable_parallel_tool_use": Ignored(Bool())}),
    },
)
MESSAGES: Final = _struct(
    "MessagesRequest",
    {
        **_CONVERSATION,
        "tool_choice": _struct("ToolChoice", {**_TOOL_CHOICE, "disable_parallel_tool_use": Bool()}),
        "max_tokens": Int(),
        "stream": Bool(),
        "temperature": Float(),
        "top_p": Float(),
        "top_k": Int(),
        "stop_sequences": List(String()),
        "container": Refused(),
        "diagnostics": Ignored(),
        "inference_geo": Ignored(),
        "metadata": Ignored(),
        "service_tier": Ignored(),
        # of the client's beta features
        "billing_policy": Ignored(),
        "compaction": Ignored(),
        "fallback_credit_token": Ignored(),
        "fallbacks": Ignored(),
        "thread": Refused(error=ThreadRefusedError),
    },
)
