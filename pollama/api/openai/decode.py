"""Bodies of the OpenAI dialect to pollama's requests."""

from __future__ import annotations

import re
from typing import Any, Final

from pollama.api.godecode import untyped_name
from pollama.api.messages import tool_from
from pollama.api.openai.choices import count_of
from pollama.api.openai.messages import messages_of
from pollama.api.tool_choice import openai_choice
from pollama.errors import BadRequestError
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.messages import Think
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest, Format

_EFFORTS: Final[dict[str, Think]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}
_TOKEN_ID: Final = re.compile("[0-9]{1,9}")
_MAX_BIAS: Final = 100
_EFFORT_NAMES: Final = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'


def chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Return the request of /v1/chat/completions. Raises BadRequestError."""
    if not fields.get("messages"):
        raise BadRequestError("[] is too short - 'messages'")
    messages = messages_of(fields["messages"])
    options = {
        **_renamed(fields, {"max_tokens": "num_predict", "seed": "seed"}),
        **_renamed(fields, {"max_completion_tokens": "num_predict"}),
        **_renamed(fields, {"frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty"}),
        "temperature": fields.get("temperature", 1.0),
        "top_p": fields.get("top_p", 1.0),
        **_stop(fields.get("stop")),
    }
    effort = fields.get("reasoning", {}).get("effort") or fields.get("reasoning_effort") or ""
    tool_choice, tools = openai_choice(fields.get("tool_choice"), list(map(tool_from, fields.get("tools", ()))))
    return ChatRequest(
        model=fields.get("model", ""),
        messages=messages,
        tools=tools,
        tool_choice=tool_choice,
        options=options,
        format=_format(fields.get("response_format", {})),
        think=think_of(effort),
        logit_bias=_logit_bias(fields.get("logit_bias", {})),
        logprobs=fields.get("logprobs", False),
        top_logprobs=fields.get("top_logprobs", 0),
        debug_render_only=fields.get("_debug_render_only", False),
    )


def completion_request(fields: dict[str, Any]) -> CompletionRequest:
    """Return the request of /v1/completions. Raises BadRequestError."""
    if "logprobs" in fields and fields.get("echo"):
        raise BadRequestError("echo is not supported together with logprobs")
    if fields.get("best_of", count_of(fields)) != count_of(fields):
        raise BadRequestError("best_of is not supported unless it is equal to n")
    return CompletionRequest(
        model=fields.get("model", ""),
        prompt=fields.get("prompt", ""),
        suffix=fields.get("suffix", ""),
        options={
            **_renamed(fields, {"max_tokens": "num_predict", "seed": "seed"}),
            "temperature": fields.get("temperature", 1.0),
            "top_p": fields.get("top_p") or 1.0,
            "frequency_penalty": fields.get("frequency_penalty", 0.0),
            "presence_penalty": fields.get("presence_penalty", 0.0),
            **_strict_stop(fields.get("stop")),
        },
        logit_bias=_logit_bias(fields.get("logit_bias", {})),
        logprobs="logprobs" in fields,
        top_logprobs=fields.get("logprobs", 0),
        debug_render_only=fields.get("_debug_render_only", False),
    )


def embed_request(fields: dict[str, Any]) -> EmbedRequest:
    """Return the request of /v1/embeddings; its inputs have been checked. Raises BadRequestError."""
    encoding = fields.get("encoding_format", "")
    if encoding.lower() not in ("", "float", "base64"):
        raise BadRequestError(
            f"Invalid value for 'encoding_format' = {encoding}. Supported values: ['float', 'base64']."
        )
    value = fields.get("input")
    if value is None or value == []:
        raise BadRequestError("invalid input")
    return EmbedRequest(
        model=fields.get("model", ""),
        inputs=[value] if isinstance(value, str) else value,
        dimensions=fields.get("dimensions", 0),
    )


def think_of(effort: str) -> Think:
    """Return what a reasoning effort means; "" is not stated. Raises BadRequestError."""
    if not effort:
        return None
    if effort not in _EFFORTS:
        raise BadRequestError(f"invalid reasoning value: {go_quote(effort)} (must be {_EFFORT_NAMES})")
    return _EFFORTS[effort]


def _renamed(fields: dict[str, Any], names: dict[str, str]) -> dict[str, Json]:
    return {option: fields[name] for name, option in names.items() if name in fields}


def _stop(value: Json) -> dict[str, Json]:
    if isinstance(value, str):
        return {"stop": [value]}
    return {"stop": [item for item in value if isinstance(item, str)]} if isinstance(value, list) else {}


def _strict_stop(value: Json) -> dict[str, Json]:
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise BadRequestError(f"invalid type for 'stop' field: {untyped_name(item)}")
    return _stop(value)


def _logit_bias(given: dict[str, float]) -> dict[int, float]:
    """Return the bias of each token. Raises BadRequestError; whether the token exists is seen when it is used."""
    for text, bias in given.items():
        if not _TOKEN_ID.fullmatch(text):
            raise BadRequestError(f"logit_bias: {go_quote(text)} is not a token id")
        if not -_MAX_BIAS <= bias <= _MAX_BIAS:
            raise BadRequestError(f"logit_bias of {text} must be between -{_MAX_BIAS} and {_MAX_BIAS}")
    return {int(text): bias for text, bias in given.items()}


def _format(fields: dict[str, Any]) -> Format:
    kind = fields.get("type", "").strip().lower()
    if kind == "json_object":
        return Format(given=True, value="json")
    schema = fields.get("json_schema")
    if kind == "json_schema" and schema is not None:
        return Format(given="schema" in schema, value=schema.get("schema"))
    return Format()
