"""Nothing is accepted and overlooked, all the way down: options, messages, tools, blocks and formats included.

Each request below is taken apart field by field: what is left must be another request, or get another answer. Only
fields that the documentation lists as ignored (``Ignored`` in the schemas) make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from pollama.api.anthropic.schemas import CONTENT_BLOCK
from pollama.api.godecode import Ignored, Kind, Refused, Struct
from pollama.api.messages import TOOL_PARAMETERS, TOOL_PROPERTY
from pollama.api.openapi.requests import BODIES, struct_within
from pollama.inference.jobs import generate_job
from pollama.prompts.reading import Reading
from pollama.types.events import Done, Embeddings, Piece, Progress
from pollama.types.generation import Logprob
from pollama.types.library import ModelDescription, ModelDetails
from pollama.types.messages import ToolCall
from pollama.types.options import LOAD_OPTIONS, Options
from pollama.types.requests import CompletionRequest
from tests.api.conftest import Api
from tests.api.fakes import make_model
from tests.api.test_fields import steady

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "$defs": {"d": {"type": "string"}},
    "items": {"type": "string"},
    "required": ["a"],
    "properties": {
        "a": {
            "anyOf": [{"type": "string"}],
            "type": "array",
            "items": {"type": "string"},
            "description": "an a",
            "enum": ["x"],
            "properties": {"b": {"type": "string"}},
            "required": ["b"],
        }
    },
}
FUNCTION = {"name": "f", "description": "an f", "parameters": PARAMETERS}
TOOL = {"type": "function", "items": {"type": "string"}, "function": FUNCTION}
FLAT_TOOL = {"type": "function", "name": "g", "description": "a g", "strict": True, "parameters": PARAMETERS}
SCHEMA = {"type": "object"}
DIGEST = f"sha256:{'ab' * 32}"
OPTIONS = {"temperature": 0.5}
ASKED = {"role": "user", "content": "hi", "images": ["aGk="]}
CALLED = {
    "role": "assistant",
    "content": "",
    "thinking": "hm",
    "tool_calls": [{"id": "call_1", "function": {"index": 1, "name": "f", "arguments": {"a": 1}}}],
}
TOLD = {"role": "tool", "content": "4", "tool_name": "f", "tool_call_id": "call_1"}
CONVERSATION = [ASKED, CALLED, TOLD]
GENERATION: dict[str, Any] = {
    "model": "m",
    "stream": False,
    "format": SCHEMA,
    "keep_alive": "5m",
    "options": OPTIONS,
    "think": True,
    "truncate": False,
    "shift": False,
    "_debug_render_only": True,
    "logprobs": True,
    "top_logprobs": 2,
    "multi_gpu": {"strategy": "data", "gpu_selection": "0", "performance_profile": "throughput"},
}
TRANSFER = {"model": "m", "insecure": True, "stream": False}
OPENAI: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 3,
    "seed": 1,
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "stop": "x",
    "logit_bias": {"5": 1},
    "n": 2,
    "_debug_render_only": True,
}
CALLED_IN_TEXT = {
    "role": "assistant",
    "reasoning": "hm",
    "tool_calls": [{"id": "call_1", "index": 1, "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "hi"},
    {"type": "image", "source": {"type": "base64", "data": "aGk="}},
    {"type": "tool_result", "tool_use_id": "call_0", "content": "4"},
]
ANSWERED = [
    {"type": "thinking", "thinking": "hm"},
    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
]
ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": BLOCKS}, {"role": "assistant", "content": ANSWERED}],
    "system": "be brief",
    "tools": [{"type": "custom", "name": "f", "description": "an f", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
}
WHOLE: dict[str, list[dict[str, Any]]] = {
    "POST /api/generate": [
        {
            **GENERATION,
            "prompt": "hi",
            "suffix": "s",
            "system": "be brief",
            "template": "{{ .Prompt }}",
            "context": [1],
            "raw": True,
            "images": ["aGk="],
        }
    ],
    "POST /api/chat": [{**GENERATION, "messages": CONVERSATION, "tools": [TOOL]}],
    "POST /api/embed": [
        {"model": "m", "input": "hi", "keep_alive": 5, "truncate": False, "dimensions": 1, "options": OPTIONS}
    ],
    "POST /api/embeddings": [{"model": "m", "prompt": "hi", "keep_alive": 5, "options": OPTIONS}],
    "POST /api/show": [{"model": "m", "system": "be brief", "verbose": True, "options": OPTIONS}, {"name": "m"}],
    "POST /api/copy": [{"source": "a", "destination": "b"}],
    "DELETE /api/delete": [{"model": "m"}, {"name": "m"}],
    "POST /api/pull": [TRANSFER, {"name": "m"}],
    "POST /api/push": [TRANSFER, {"name": "m"}],
    "POST /api/create": [
        {
            "model": "m",
            "stream": False,
            "quantize": "q8_0",
            "draft_quantize": "q8_0",
            "from": "n",
            "remote_host": "h",
            "files": {"a.gguf": DIGEST},
            "draft_files": {"b.gguf": DIGEST},
            "adapters": {"c.gguf": DIGEST},
            "template": "{{ .Prompt }}",
            "license": "free",
            "system": "be brief",
            "parameters": OPTIONS,
            "messages": CONVERSATION,
            "renderer": "r",
            "parser": "p",
            "requires": "1",
            "info": {"a": 1},
        },
        {"name": "m", "quantization": "q8_0"},
    ],
    "POST /v1/chat/completions": [
        {
            **OPENAI,
            "messages": [{"role": "user", "content": "hi"}, CALLED_IN_TEXT, {**TOLD, "name": "g"}],
            "max_completion_tokens": 4,
            "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
            "tools": [TOOL],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "reasoning": {"effort": "low"},
            "logprobs": True,
            "top_logprobs": 2,
        },
        {"model": "m", "messages": [ASKED], "max_tokens": 3, "reasoning_effort": "low"},
    ],
    "POST /v1/completions": [
        {**OPENAI, "prompt": "hi", "suffix": "s", "logprobs": 2},
        {"model": "m", "prompt": "hi", "echo": True},
        {"model": "m", "prompt": "hi", "best_of": 2},
    ],
    "POST /v1/embeddings": [{"model": "m", "input": "hi", "dimensions": 1, "encoding_format": "base64"}],
    "POST /v1/responses": [
        {
            "model": "m",
            "stream": True,
            "temperature": 0.5,
            "top_p": 0.5,
            "background": True,
            "input": "hi",
            "instructions": "be brief",
            "max_output_tokens": 3,
            "parallel_tool_calls": False,
            "reasoning": {"effort": "low", "summary": "auto"},
            "store": False,
            "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA, "strict": True}},
            "tools": [FLAT_TOOL, {"type": "namespace", "name": "n", "tools": [FLAT_TOOL]}],
            "tool_choice": {"type": "function", "name": "g"},
            "truncation": "auto",
        },
        {"model": "m", "input": "hi", "previous_response_id": "resp_none"},
    ],
    "POST /v1/messages": [
        {
            **ANTHROPIC,
            "stream": True,
            "max_tokens": 3,
            "temperature": 0.5,
            "top_p": 0.5,
            "top_k": 2,
            "stop_sequences": ["x"],
        },
        {
            "model": "m",
            "max_tokens": 3,
            "messages": [ASKED],
            "output_config": {"effort": "low"},
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        },
    ],
    "POST /v1/messages/count_tokens": [
        ANTHROPIC,
        {
            "model": "m",
            "messages": [ASKED],
            "output_config": {"effort": "low"},
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        },
    ],
}  # fmt: skip
"""Bodies that have every field of a route which is read; where fields stand in for each other, several."""

INSIDE: dict[str, Struct] = {
    "tools.function.parameters.properties": TOOL_PROPERTY,
    "tools.input_schema": TOOL_PARAMETERS,
    "messages.content": CONTENT_BLOCK,
}
"""What stands behind fields whose kind does not tell."""

MAPS = ("properties",)
"""Fields that map names to structs."""


ELSEWHERE = {"POST /v1/responses": ["store"]}
"""Fields that change what a later request gets (tests/api/test_responses.py)."""


def paths(
    schema: Struct, route: str, way: tuple[str, ...] = (), above: tuple[Struct, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the way to every field that is read, through members; those of a struct within itself only once."""
    for name, kind in schema.fields.items():
        path = (*way, name)
        if isinstance(kind, (Ignored, Refused)):
            continue
        yield path
        inner = inside(path, kind, route)
        if inner is not None and not any(inner is outer for outer in (*above, schema)):
            yield from paths(inner, route, (*path, "*") if name in MAPS else path, (*above, schema))


def inside(path: tuple[str, ...], kind: Kind, route: str) -> Struct | None:
    """Return the struct within a field."""
    dotted = ".".join(path)
    if dotted == "messages.content" and not route.startswith("POST /v1/messages"):
        return None
    return INSIDE.get(dotted) or struct_within(kind)


def without(value: Any, path: tuple[str, ...]) -> Any:
    """Return ``value`` without the field at ``path``, of every entry where there is a list; ``*`` is any key."""
    if isinstance(value, list):
        return [without(entry, path) for entry in value]
    if not isinstance(value, dict):
        return value
    name, *rest = path
    if not rest:
        return {key: inner for key, inner in value.items() if key != name}
    return {key: without(inner, tuple(rest)) if name in (key, "*") else inner for key, inner in value.items()}


async def effect(api: Api, route: str, body: dict[str, Any]) -> tuple[str, str]:
    """Return what a request comes to: the answer, and what was asked of inference and the store."""
    method, path = route.split()
    for kept in (api.inference.requests, api.library.calls, api.library.created):
        kept.clear()
    answer = steady(await api.send(method, path, body))
    return answer, repr((api.inference.requests, api.library.calls, api.library.created))


@pytest.fixture
def talkative(api: Api) -> Api:
    """The server, with something to say about everything."""
    calls = [ToolCall(name="f", id="call_1", arguments={"a": 1}), ToolCall(name="f", id="call_2", index=1)]
    scored = [Logprob(token="a", logprob=-1.0, top=[Logprob(token="b", logprob=-2.0)])]
    api.inference.events = [
        Piece(content="a", tool_calls=calls, logprobs=scored),
        Done(reason="stop", prompt_tokens=1),
    ]
    api.inference.embeddings = Embeddings(vectors=[[0.5, 0.25]])
    api.library.progress = [Progress(status="begun"), Progress(status="success")]
    api.library.description = ModelDescription(
        model=make_model(),
        details=ModelDetails(),
        model_info={},
        projector_info={},
        tensors=(),
        modelfile="FROM m",
        parameters="",
        template="",
    )
    return api


@pytest.mark.parametrize("route", BODIES)
async def test_every_field_that_is_read_makes_a_difference(talkative: Api, route: str) -> None:
    overlooked = []
    for path in paths(BODIES[route], route):
        for body in WHOLE[route]:
            less = without(body, path)
            if less != body and await effect(talkative, route, body) != await effect(talkative, route, less):
                break
        else:
            overlooked.append(".".join(path))
    assert overlooked == ELSEWHERE.get(route, [])


SAMPLES: dict[str, Any] = {
    "stop": ["x"],
    "temperature": 0.25,
    "top_p": 0.25,
    "min_p": 0.25,
    "typical_p": 0.25,
    "repeat_penalty": 1.25,
    "presence_penalty": 0.25,
    "frequency_penalty": 0.25,
}


@pytest.mark.parametrize("name", sorted({option.name for option in fields(Options)} - {"explicit", *LOAD_OPTIONS}))
def test_every_option_of_sampling_reaches_the_engine(name: str) -> None:
    jobs = [
        generate_job(
            "hi",
            [],
            CompletionRequest(model="m"),
            Options().updated(values),
            context_length=4096,
            shift=True,
            native=False,
            reading=Reading(),
        )
        for values in ({}, {name: SAMPLES.get(name, 7)})
    ]
    assert jobs[0] != jobs[1]


@pytest.mark.parametrize("name", LOAD_OPTIONS)
def test_every_option_of_loading_asks_for_another_load(name: str) -> None:
    assert Options().updated({name: name == "use_mmap" or 7}).load_key() != Options().load_key()
