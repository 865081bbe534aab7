"""The answers of Ollama's own dialect. Sizes are bytes, durations nanoseconds, times RFC 3339."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Failure(TypedDict):
    """Why a request was not carried out; in a stream, why it ended."""

    error: str


class Version(TypedDict):
    """The version of Ollama whose behaviour is reproduced."""

    version: str


class Cloud(TypedDict):
    """Whether cloud features are turned off, and by what."""

    disabled: bool
    source: Literal["none", "env", "config", "both"]


class Status(TypedDict):
    """The state of the server."""

    cloud: Cloud


class Recommendation(TypedDict):
    """A model that Ollama recommends."""

    model: str
    description: str


class Recommendations(TypedDict):
    """Recommended models."""

    recommendations: list[Recommendation]


class Details(TypedDict):
    """Facts of a model's weights."""

    parent_model: str
    format: str
    family: str
    families: list[str] | None
    parameter_size: str
    quantization_level: str
    context_length: NotRequired[int]
    embedding_length: NotRequired[int]


class Listed(TypedDict):
    """A model of the store."""

    name: str
    model: str
    remote_model: NotRequired[str]
    remote_host: NotRequired[str]
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: NotRequired[list[str]]


class Tags(TypedDict):
    """All models, most recently modified first."""

    models: list[Listed]


class Loaded(TypedDict):
    """A loaded model; sizes are those of all its replicas."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int


class Running(TypedDict):
    """The loaded models."""

    models: list[Loaded]


class CalledFunction(TypedDict):
    """A function and its arguments."""

    index: int
    name: str
    arguments: dict[str, Any]


class Call(TypedDict):
    """A call of a tool."""

    id: NotRequired[str]
    function: CalledFunction


class Said(TypedDict):
    """A message. ``role`` is empty in the answer to ``_debug_render_only``."""

    role: str
    content: str
    thinking: NotRequired[str]
    images: NotRequired[list[str]]
    tool_calls: NotRequired[list[Call]]
    tool_name: NotRequired[str]
    tool_call_id: NotRequired[str]


class Tensor(TypedDict):
    """A tensor of the weights."""

    name: str
    type: str
    shape: list[int]


class Shown(TypedDict):
    """What is known of a model."""

    license: NotRequired[str]
    modelfile: NotRequired[str]
    parameters: NotRequired[str]
    template: NotRequired[str]
    system: NotRequired[str]
    details: Details
    messages: NotRequired[list[Said]]
    remote_model: NotRequired[str]
    remote_host: NotRequired[str]
    model_info: dict[str, Any]
    projector_info: NotRequired[dict[str, Any]]
    tensors: NotRequired[list[Tensor]]
    capabilities: NotRequired[list[str]]
    modified_at: str
    requires: NotRequired[str]


class Probability(TypedDict):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: NotRequired[list[int]]
    top_logprobs: NotRequired[list[Probability]]


class Debug(TypedDict):
    """The prompt, for ``_debug_render_only``."""

    rendered_template: str
    image_count: NotRequired[int]


class _Record(TypedDict):
    """What is in every record; counts and durations stand in the last one."""

    model: str
    created_at: str
    done: bool
    done_reason: NotRequired[str]
    logprobs: NotRequired[list[Probability]]
    total_duration: NotRequired[int]
    load_duration: NotRequired[int]
    prompt_eval_count: NotRequired[int]
    prompt_eval_duration: NotRequired[int]
    eval_count: NotRequired[int]
    eval_duration: NotRequired[int]
    _debug_info: NotRequired[Debug]


class Generated(_Record):
    """A record of /api/generate: a part of a stream, or the whole answer."""

    response: str
    thinking: NotRequired[str]
    context: NotRequired[list[int]]
    tool_calls: NotRequired[list[Call]]


class Chatted(_Record):
    """A record of /api/chat: a part of a stream, or the whole answer."""

    message: Said


class Embedded(TypedDict):
    """Vectors of length 1, in input order."""

    model: str
    embeddings: list[list[float]]
    total_duration: NotRequired[int]
    load_duration: NotRequired[int]
    prompt_eval_count: NotRequired[int]


class EmbeddedOne(TypedDict):
    """The vector of one text, as the engine gave it."""

    embedding: list[float]


class Step(TypedDict):
    """A step of a create, pull or push; the last one is ``success``."""

    status: str
    digest: NotRequired[str]
    total: NotRequired[int]
    completed: NotRequired[int]
