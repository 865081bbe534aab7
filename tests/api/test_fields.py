"""Nothing is accepted and overlooked: every field that the official clients can send stands in a schema.

There it is read (``test_every_field.py``), refused by name, or ignored as Ollama ignores it; a new version of a client
that brings another field fails here until somebody decides which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import anthropic.types as anthropic_types
import anthropic.types.beta as beta_types
import openai.types as openai_types
import pytest
from openai.types.audio import transcription_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from typing_extensions import is_typeddict

from pollama.api.anthropic.schemas import CONTENT_BLOCK, MESSAGES
from pollama.api.godecode import Ignored, Refused, Struct
from pollama.api.openai.responses.schemas import RESPONSES
from pollama.api.openai.schemas import CHAT, COMPLETION, EMBEDDING
from pollama.api.openapi.requests import struct_within, unread_fields
from pollama.types.events import Done, Piece
from tests.api.conftest import Answer, Api

SCHEMAS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETION,
    "/v1/embeddings": EMBEDDING,
    "/v1/responses": RESPONSES,
    "/v1/messages": MESSAGES,
}
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"model": "m", "prompt": "hi"},
    "/v1/embeddings": {"model": "m", "input": "hi"},
    "/v1/responses": {"model": "m", "input": "hi"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}
CLIENTS: list[tuple[Struct, Any]] = [
    (CHAT, completion_create_params.CompletionCreateParamsNonStreaming),
    (CHAT, completion_create_params.CompletionCreateParamsStreaming),
    (COMPLETION, openai_types.completion_create_params.CompletionCreateParamsNonStreaming),
    (COMPLETION, openai_types.completion_create_params.CompletionCreateParamsStreaming),
    (EMBEDDING, openai_types.EmbeddingCreateParams),
    (RESPONSES, response_create_params.ResponseCreateParamsNonStreaming),
    (RESPONSES, response_create_params.ResponseCreateParamsStreaming),
    (MESSAGES, anthropic_types.message_create_params.MessageCreateParamsNonStreaming),
    (MESSAGES, anthropic_types.message_create_params.MessageCreateParamsStreaming),
    (MESSAGES, beta_types.message_create_params.MessageCreateParamsNonStreaming),
    (MESSAGES, anthropic_types.MessageCountTokensParams),
    *((CONTENT_BLOCK, block) for block in (
        anthropic_types.TextBlockParam,
        anthropic_types.ImageBlockParam,
        anthropic_types.ThinkingBlockParam,
        anthropic_types.ToolUseBlockParam,
        anthropic_types.ToolResultBlockParam,
    )),
]  # fmt: skip
REFUSED_TOOLS = {
    "/v1/responses": {
        "apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search", "image_generation",
        "local_shell", "mcp", "programmatic_tool_calling", "shell", "tool_search",
    },
    "/v1/messages": {
        "advisor_20260301", "browser_toolset_20260801", "code_execution_20250522", "code_execution_20250825",
        "code_execution_20260120", "code_execution_20260521", "computer_toolset_20260801", "mcp_toolset",
        "tool_search_tool_bm25", "tool_search_tool_bm25_20251119", "tool_search_tool_regex",
        "tool_search_tool_regex_20251119", "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309",
        "web_fetch_20260318",
    },
}  # fmt: skip
REFUSED_TYPES = frozenset().union(*REFUSED_TOOLS.values())
HEADERS = {"betas"}
"""Parameters of a client that do not travel in the body."""


def nested(hint: Any) -> Iterator[Any]:
    """Return the typed dicts within a type hint."""
    if is_typeddict(hint):
        yield hint
    for inner in get_args(hint):
        yield from nested(inner)


def types_of(client: Any) -> frozenset[str]:
    """Return the values that a typed dict's ``type`` can have."""
    hint = get_type_hints(client).get("type")
    return frozenset(value for value in get_args(hint) if isinstance(value, str)) if hint else frozenset()


def missing(schema: Struct, client: Any, path: str = "") -> Iterator[str]:
    """Return the fields of a client's typed dict that a schema does not know, with those of what is inside."""
    for name, hint in get_type_hints(client).items():
        kind = schema.fields.get(name)
        if kind is None and name not in HEADERS:
            yield f"{path}{name}"
        inner = struct_within(kind) if kind is not None else None
        if inner is not None:
            for member in nested(hint):
                if not types_of(member) or not types_of(member) <= REFUSED_TYPES:
                    yield from missing(inner, member, f"{path}{name}.")


@pytest.mark.parametrize(("schema", "client"), CLIENTS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_of_a_client_is_known(schema: Struct, client: Any) -> None:
    assert list(missing(schema, client)) == []


@pytest.mark.parametrize(
    "client",
    [
        transcription_create_params.TranscriptionCreateParamsNonStreaming,
        transcription_create_params.TranscriptionCreateParamsStreaming,
    ],
)
def test_every_field_of_a_transcription_is_described(client: Any) -> None:
    section = DOCUMENT.read_text().partition("The form of `/v1/audio/transcriptions`")[2].partition("\n\n")[0]
    assert [name for name in get_type_hints(client) if f"`{name}`" not in section] == []


def steady(answer: Answer) -> str:
    """Return an answer without what is different every time."""
    return re.sub(
        r'"(id|call_id|created|created_at|completed_at|request_id)":("[^"]*"|\d+)|(chatcmpl-|_)\d+',
        "",
        answer.body.decode(),
    )


def body_with(path: str, field: str, value: Any) -> dict[str, Any]:
    """Return a body with one more field, which may be a member's."""
    *members, name = field.split(".")
    inner: dict[str, Any] = {name: value}
    for member in reversed(members):
        inner = {member: [inner] if member in ("messages", "tools", "tool_calls") else inner}
    return {**BODIES[path], **inner}


@pytest.mark.parametrize("path", SCHEMAS)
async def test_a_field_that_is_not_supported_is_refused_by_name(api: Api, path: str) -> None:
    refused = {name: kind for name, kind in unread_fields(SCHEMAS[path]) if isinstance(kind, Refused)}
    for field, kind in refused.items():
        answer = await api.post(path, body_with(path, field, {"x": 1}))
        assert (answer.status, json.loads(answer.body)["error"]["message"]) == (400, f"{field} is not supported")
        if "." not in field:
            assert {(await api.post(path, body_with(path, field, value))).status for value in kind.harmless} <= {200}


@pytest.mark.parametrize("path", SCHEMAS)
async def test_a_field_that_is_ignored_changes_nothing(api: Api, path: str) -> None:
    api.inference.events = [Piece(content="a"), Done(reason="stop")]
    ignored = [
        name
        for name, kind in unread_fields(SCHEMAS[path])
        if isinstance(kind, Ignored) and kind.kind is None and "." not in name
    ]
    assert ignored
    plain = steady(await api.post(path, BODIES[path])), api.inference.requests.pop()
    for field in ignored:
        answer = await api.post(path, body_with(path, field, {"x": 1}))
        assert (steady(answer), api.inference.requests.pop()) == plain, field


@pytest.mark.parametrize("path", REFUSED_TOOLS)
async def test_tools_that_somebody_else_would_carry_out_are_refused(api: Api, path: str) -> None:
    for kind in REFUSED_TOOLS[path]:
        tools = [{"type": kind, **({"name": "t"} if path == "/v1/messages" and "toolset" not in kind else {})}]
        answer = await api.post(path, {**BODIES[path], "tools": tools})
        message = json.loads(answer.body)["error"]["message"]
        assert (answer.status, message) == (400, f'tools of type "{kind}" are not supported')
