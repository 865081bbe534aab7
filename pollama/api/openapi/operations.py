"""What each route answers, and what its body must have."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal

from pollama.api.errors import NDJSON
from pollama.api.multigpu.steer import MigrateBody
from pollama.api.openapi import multigpu, native, v1

PLAIN: Final = "text/plain"
EVENTS: Final = "text/event-stream"

Failing = Literal["native", "openai", "anthropic"]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route as its caller sees it.

    ``answer`` is the type of the JSON object of a success, None for none; ``streamed`` the content type of a stream of
    such answers, or of their parts. ``plain``: a success may also be text. ``required`` are fields of a body that a
    decoder's schema describes; ``body`` is the type of one that is read without. ``query`` names query parameters.
    ``creates``: a success may be 201.
    """

    summary: str
    _: KW_ONLY
    answer: Any = None
    streamed: str = ""
    plain: bool = False
    creates: bool = False
    required: tuple[str, ...] = ()
    body: Any = None
    query: tuple[str, ...] = ()
    failing: Failing = "native"


def _openai(summary: str, answer: Any, *required: str, streamed: str = "", plain: bool = False) -> Operation:
    return Operation(summary, answer=answer, required=required, streamed=streamed, plain=plain, failing="openai")


def _anthropic(summary: str, answer: Any, *required: str, streamed: str = "") -> Operation:
    return Operation(summary, answer=answer, required=required, streamed=streamed, failing="anthropic")


OPERATIONS: Final[dict[str, Operation]] = {
    "GET /": Operation("Say that the server runs", plain=True),
    "HEAD /": Operation("Say that the server runs", plain=True),
    "GET /openapi.json": Operation("Describe this API", answer=dict[str, Any]),
    "GET /api/version": Operation("Say which Ollama is reproduced", answer=native.Version),
    "HEAD /api/version": Operation("Say which Ollama is reproduced"),
    "GET /api/status": Operation("Say whether cloud features are off", answer=native.Status),
    "GET /api/tags": Operation("List the models of the store", answer=native.Tags),
    "HEAD /api/tags": Operation("List the models of the store"),
    "GET /api/ps": Operation("List the loaded models", answer=native.Running),
    "POST /api/show": Operation("Describe a model", answer=native.Shown, required=("model",)),
    "POST /api/generate": Operation(
        "Complete a prompt; load or unload a model", answer=native.Generated, streamed=NDJSON, required=("model",)
    ),
    "POST /api/chat": Operation(
        "Continue a conversation; load or unload a model", answer=native.Chatted, streamed=NDJSON, required=("model",)
    ),
    "POST /api/embed": Operation("Embed texts", answer=native.Embedded, required=("model", "input")),
    "POST /api/embeddings": Operation(
        "Embed one text, the old way", answer=native.EmbeddedOne, required=("model", "prompt")
    ),
    "POST /api/create": Operation("Create a model", answer=native.Step, streamed=NDJSON, required=("model",)),
    "POST /api/pull": Operation("Fetch a model", answer=native.Step, streamed=NDJSON, required=("model",)),
    "POST /api/push": Operation("Publish a model", answer=native.Step, streamed=NDJSON, required=("model",)),
    "POST /api/copy": Operation("Copy a model", required=("source", "destination")),
    "DELETE /api/delete": Operation("Delete a model", required=("model",)),
    "HEAD /api/blobs/{digest}": Operation("Ask for a blob"),
    "POST /api/blobs/{digest}": Operation("Upload a blob", creates=True),
    "POST /api/me": Operation("Not offered: accounts"),
    "POST /api/signout": Operation("Not offered: accounts"),
    "DELETE /api/user/keys/{key}": Operation("Not offered: accounts"),
    "POST /api/experimental/web_search": Operation("Not offered: the web"),
    "POST /api/experimental/web_fetch": Operation("Not offered: the web"),
    "GET /api/experimental/model-recommendations": Operation(
        "List models that Ollama recommends", answer=native.Recommendations
    ),
    "POST /v1/chat/completions": _openai(
        "Continue a conversation", v1.ChatCompletion, "model", "messages", streamed=EVENTS
    ),
    "POST /v1/completions": _openai("Complete a prompt", v1.Completion, "model", "prompt", streamed=EVENTS),
    "POST /v1/responses": _openai("Continue a conversation of items", v1.Response, "model", "input", streamed=EVENTS),
    "POST /v1/embeddings": _openai("Embed texts", v1.Vectors, "model", "input"),
    "GET /v1/models": _openai("List the models of the store", v1.ModelCards),
    "GET /v1/models/{model}": _openai("Describe a model", v1.ModelCard),
    "POST /v1/audio/transcriptions": _openai(
        "Write down what is said in a sound", v1.Transcription, "model", "file", plain=True
    ),
    "POST /v1/messages": _anthropic(
        "Continue a conversation", v1.AnthropicMessage, "model", "max_tokens", "messages", streamed=EVENTS
    ),
    "POST /v1/messages/count_tokens": _anthropic(
        "Count the tokens of a conversation", v1.TokenCount, "model", "messages"
    ),
    "GET /api/multigpu/topology": Operation("Show devices and what joins them", answer=multigpu.Topology),
    "GET /api/multigpu/status": Operation("Show what is on the devices", answer=multigpu.State),
    "GET /api/multigpu/models": Operation("Show the plans of loaded models", answer=multigpu.Models),
    "GET /api/multigpu/plan": Operation(
        "Say what would be done with a model", answer=multigpu.Preview, query=("model",)
    ),
    "GET /api/multigpu/performance": Operation("Compare predictions with measurements", answer=multigpu.Performance),
    "GET /api/multigpu/config": Operation("Show the settings for several devices", answer=multigpu.Settings),
    "PUT /api/multigpu/config": Operation(
        "Change settings of the running server", answer=multigpu.Settings, body=multigpu.Changes
    ),
    "POST /api/multigpu/rebalance": Operation("Move replicas to better devices", answer=multigpu.Moves),
    "POST /api/multigpu/migrate": Operation(
        "Move one replica to other devices", answer=multigpu.Move, body=MigrateBody
    ),
}
"""Every route."""

FAILURES: Final[dict[Failing, Any]] = {
    "native": native.Failure,
    "openai": v1.OpenAIFailure,
    "anthropic": v1.AnthropicFailure,
}
