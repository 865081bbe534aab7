"""The request bodies of the OpenAI dialect, field by field."""

from __future__ import annotations

from typing import Final

from pollama.api.godecode import Bool, Float, Ignored, Int, Kind, List, Map, Raw, Refused, String, Struct, Untyped
from pollama.api.messages import TOOL, TOOL_FUNCTION, TOOLS

_PACKAGE: Final = "openai"


def _struct(name: str, fields: dict[str, Kind]) -> Struct:
    return Struct(name, fields, _PACKAGE)


_STREAM_OPTIONS: Final = _struct("StreamOptions", {"include_usage": Bool(), "include_obfuscation": Ignored()})
_TOOL_CALL: Final = _struct(
    "ToolCall",
    {
        "id": String(),
        "index": Int(),
        "type": Ignored(String()),
        "function": _struct("", {"name": String(), "arguments": String()}),
        "custom": Refused(),
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
        "refusal": Ignored(),
        "audio": Refused(),
        "function_call": Refused(),
    },
)
_TOOL: Final = Struct(
    TOOL.name,
    {
        **TOOL.fields,
        "function": Struct(TOOL_FUNCTION.name, {**TOOL_FUNCTION.fields, "strict": Ignored()}),
        "custom": Refused(),
    },
)
_RESPONSE_FORMAT: Final = _struct(
    "ResponseFormat",
    {
        "type": String(),
        "json_schema": _struct(
            "JsonSchema", {"schema": Raw(), "name": Ignored(), "description": Ignored(), "strict": Ignored()}
        ),
    },
)
UNUSED: Final[dict[str, Kind]] = {
    "metadata": Ignored(),
    "moderation": Refused(),
    "prompt_cache_key": Ignored(),
    "prompt_cache_options": Ignored(),
    "prompt_cache_retention": Ignored(),
    "safety_identifier": Ignored(),
    "service_tier": Ignored(),
    "user": Ignored(),
}
"""What chats and responses have in common of OpenAI's own service."""

CHAT: Final = _struct(
    "ChatCompletionRequest",
    {
        "model": String(),
        "messages": List(MESSAGE),
        "stream": Bool(),
        "stream_options": _STREAM_OPTIONS,
        "max_tokens": Int(),
        "max_completion_tokens": Int(),
        "n": Int(),
        "seed": Int(),
        "stop": Untyped(),
        "temperature": Float(),
        "frequency_penalty": Float(),
        "presence_penalty": Float(),
        "top_p": Float(),
        "logit_bias": Map(Float()),
        "response_format": _RESPONSE_FORMAT,
        "tools": List(_TOOL, TOOLS.go_type),
        "tool_choice": Untyped(),
        "parallel_tool_calls": Bool(),
        "reasoning": _struct("Reasoning", {"effort": String()}),
        "reasoning_effort": String(),
        "logprobs": Bool(),
        "top_logprobs": Int(),
        "_debug_render_only": Bool(),
        **UNUSED,
        "audio": Refused(),
        "function_call": Refused(harmless=("none", "auto")),
        "functions": Refused(harmless=([],)),
        "modalities": Refused(harmless=([], ["text"])),
        "prediction": Ignored(),
        "store": Ignored(),
        "verbosity": Ignored(),
        "web_search_options": Refused(),
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
        "n": Int(),
        "logit_bias": Map(Float()),
        "_debug_render_only": Bool(),
        "best_of": Int(),
        "echo": Bool(),
        "user": Ignored(),
    },
)
EMBEDDING: Final = _struct(
    "EmbedRequest",
    {
        "input": Untyped(),
        "model": String(),
        "dimensions": Int(),
        "encoding_format": String(),
        "user": Ignored(),
    },
)
