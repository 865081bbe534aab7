"""The request bodies of the OpenAI dialect, field by field."""

from __future__ import annotations

from typing import Final

from pollama.api.godecode import Bool, Float, Int, Kind, List, Raw, String, Struct, Untyped
from pollama.api.messages import TOOL

_PACKAGE: Final = "openai"


def _struct(name: str, fields: dict[str, Kind]) -> Struct:
    return Struct(name, fields, _PACKAGE)


_STREAM_OPTIONS: Final = _struct("StreamOptions", {"include_usage": Bool()})
_TOOL_CALL: Final = _struct(
    "ToolCall",
    {
        "id": String(),
        "index": Int(),
        "type": String(),
        "function": _struct("", {"name": String(), "arguments": String()}),
    },
)
MESSAGE: Final = _struct(
    "Message",
    {
        "role": String(),
        "content": Untyped(),
        "reasoning": String(),
        "tool_calls": List(_TOOL_CALL),
        "name": String(),
        "tool_call_id": String(),
    },
)
CHAT: Final = _struct(
    "ChatCompletionRequest",
    {
        "model": String(),
        "messages": List(MESSAGE),
        "stream": Bool(),
        "stream_options": _STREAM_OPTIONS,
        "max_tokens": Int(),
        "seed": Int(),
        "stop": Untyped(),
        "temperature": Float(),
        "frequency_penalty": Float(),
        "presence_penalty": Float(),
        "top_p": Float(),
        "response_format": _struct(
            "ResponseFormat", {"type": String(), "json_schema": _struct("JsonSchema", {"schema": Raw()})}
        ),
        "tools": List(TOOL),
        "reasoning": _struct("Reasoning", {"effort": String()}),
        "reasoning_effort": String(),
        "logprobs": Bool(),
        "top_logprobs": Int(),
        "_debug_render_only": Bool(),
    },
)
COMPLETION: Final = _struct(
    "CompletionRequest",
    {
        "model": String(),
        "prompt": String(),
        "frequency_penalty": Float("float32"),
        "max_tokens": Int(),
        "presence_penalty": Float("float32"),
        "seed": Int(),
        "stop": Untyped(),
        "stream": Bool(),
        "stream_options": _STREAM_OPTIONS,
        "temperature": Float("float32"),
        "top_p": Float("float32"),
        "suffix": String(),
        "logprobs": Int(),
        "_debug_render_only": Bool(),
    },
)
EMBEDDING: Final = _struct(
    "EmbedRequest", {"input": Untyped(), "model": String(), "dimensions": Int(), "encoding_format": String()}
)
