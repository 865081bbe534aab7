"""The answers of the dialects of OpenAI and Anthropic. Times are Unix seconds."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from pollama.api.openapi.native import Debug, Probability


class OpenAIFault(TypedDict):
    """What went wrong; ``type`` follows the status."""

    message: str
    type: Literal["invalid_request_error", "not_found_error", "api_error"]
    param: None
    code: None


class OpenAIFailure(TypedDict):
    """OpenAI's envelope of an error."""

    error: OpenAIFault


class Usage(TypedDict):
    """Token counts: the prompt once, and all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Function(TypedDict):
    """A function and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A call of a tool."""

    id: str
    index: int
    type: Literal["function"]
    function: Function


class Message(TypedDict):
    """The answer. ``role`` is empty in the answer to ``_debug_render_only``."""

    role: Literal["assistant", ""]
    content: str
    reasoning: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]


class Probabilities(TypedDict):
    """The probabilities of the tokens of a choice."""

    content: list[Probability]


class ChatChoice(TypedDict):
    """One of ``n`` answers."""

    index: int
    message: Message
    finish_reason: Literal["stop", "length", "tool_calls", "load"] | None
    logprobs: NotRequired[Probabilities]


class ChatCompletion(TypedDict):
    """The answer of /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    _debug_info: NotRequired[Debug]


class TextProbabilities(TypedDict):
    """The probabilities of the tokens of a text; offsets in characters."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class TextChoice(TypedDict):
    """One of ``n`` texts."""

    text: str
    index: int
    finish_reason: Literal["stop", "length", "load"] | None
    logprobs: NotRequired[TextProbabilities]


class Completion(TypedDict):
    """The answer of /v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage


class Vector(TypedDict):
    """A vector, as numbers or as base64 of little-endian 32-bit floats."""

    object: Literal["embedding"]
    embedding: list[float] | str
    index: int


class EmbeddingUsage(TypedDict):
    """Token counts of all inputs."""

    prompt_tokens: int
    total_tokens: int


class Vectors(TypedDict):
    """The answer of /v1/embeddings."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: EmbeddingUsage


class ModelCard(TypedDict):
    """A model of the store; ``owned_by`` is its namespace."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelCards(TypedDict):
    """All models; null when there is none."""

    object: Literal["list"]
    data: list[ModelCard] | None


class Transcription(TypedDict):
    """What was said in a sound."""

    text: str


class CachedTokens(TypedDict):
    """Always 0."""

    cached_tokens: int


class ReasoningTokens(TypedDict):
    """Always 0."""

    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """Token counts."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: CachedTokens
    output_tokens_details: ReasoningTokens


class Response(TypedDict):
    """The answer of /v1/responses. ``output`` holds items of the types reasoning, function_call and message."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["completed", "in_progress"]
    incomplete_details: None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[dict[str, Any]] | None
    error: None
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    truncation: str
    parallel_tool_calls: bool
    text: dict[str, Any]
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: dict[str, Any] | None
    usage: ResponseUsage | None
    max_output_tokens: int | None
    max_tool_calls: None
    store: bool
    background: bool
    service_tier: str
    metadata: dict[str, Any]
    safety_identifier: None
    prompt_cache_key: None


class AnthropicFault(TypedDict):
    """What went wrong; ``type`` follows the status. ``details`` are for programs."""

    type: str
    message: str
    details: NotRequired[dict[str, Any]]


class AnthropicFailure(TypedDict):
    """Anthropic's envelope of an error."""

    type: Literal["error"]
    error: AnthropicFault
    request_id: str


class MessageUsage(TypedDict):
    """Token counts."""

    input_tokens: int
    output_tokens: int


class Block(TypedDict):
    """A part of a message; the other fields follow its type."""

    type: Literal["text", "thinking", "tool_use", "server_tool_use", "web_search_tool_result"]


class AnthropicMessage(TypedDict):
    """The answer of /v1/messages; without anything to say, ``content`` is null."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Block] | None
    stop_reason: NotRequired[Literal["end_turn", "max_tokens", "tool_use", "stop_sequence"]]
    usage: MessageUsage


class TokenCount(TypedDict):
    """The length of a prompt, images left out."""

    input_tokens: int
