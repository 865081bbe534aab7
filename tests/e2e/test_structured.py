"""Structured output through the front door: whatever the schema, the answer validates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import jsonschema
import ollama
import pytest
from jsonschema import Draft202012Validator

from tests.e2e.schemas import Schema, schemas
from tests.e2e.server import Server, running_server

COUNT = 200
SEED = 20
LIVELY = {"temperature": 1.2, "num_predict": 300}
WILD = {"temperature": 5, "top_k": 0, "top_p": 1, "num_predict": 1000}
QUESTION = [{"role": "user", "content": "name: Ida, age: 7. Answer in JSON."}]
CITY = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model, answering several requests at once."""
    with running_server(tmp_path_factory.mktemp("demo"), OLLAMA_NUM_PARALLEL="4") as server:
        server.json("POST", "/api/pull", {"model": "demo", "stream": False})
        yield server


@pytest.fixture
async def client(demo: Server) -> AsyncIterator[ollama.AsyncClient]:
    """The official asynchronous client."""
    async with ollama.AsyncClient(demo.url) as opened:
        yield opened


async def test_answers_to_200_schemas_validate(client: ollama.AsyncClient) -> None:
    """An answer that was cut off is none, so it is asked for again at another temperature."""
    gate = asyncio.Semaphore(4)

    async def check(index: int, schema: Schema) -> None:
        async with gate:
            text = await complete_answer(client, schema, index)
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        errors = [error.message for error in validator.iter_errors(json.loads(text))]
        assert not errors, (index, json.dumps(schema), text)

    await asyncio.gather(*(check(index, schema) for index, schema in enumerate(schemas(COUNT, SEED))))


async def complete_answer(client: ollama.AsyncClient, schema: Schema, seed: int) -> str:
    for sampling in (LIVELY, LIVELY, WILD, WILD, WILD):
        seed += COUNT
        answer = await client.chat("demo", QUESTION, format=schema, think=False, options={**sampling, "seed": seed})
        if answer.done_reason == "stop":
            return answer.message.content or ""
    raise AssertionError(f"no answer ends: {json.dumps(schema)}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["demo", "demo-qwen"])
async def test_a_format_binds_what_follows_the_thinking(
    client: ollama.AsyncClient, demo: Server, model: str, *, stream: bool
) -> None:
    """Also where a built-in parser takes the beginning of every answer for thinking."""
    qwen = {"model": "demo-qwen", "from": "demo", "renderer": "qwen3-coder", "parser": "qwen3-thinking"}
    demo.json("POST", "/api/create", {**qwen, "stream": False})
    thinking = content = ""
    question = [{"role": "user", "content": "What is the weather in Oslo?"}]
    if stream:
        async for part in await client.chat(model, question, format=CITY, think=True, stream=True):
            thinking += part.message.thinking or ""
            content += part.message.content or ""
    else:
        message = (await client.chat(model, question, format=CITY, think=True)).message
        thinking, content = message.thinking or "", message.content or ""
    assert thinking
    jsonschema.validate(json.loads(content), CITY)


async def test_a_schema_that_cannot_be_enforced_is_refused_by_name(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="'uniqueItems' is not supported") as refusal:
        await client.chat("demo", QUESTION, format={"type": "array", "uniqueItems": True})
    assert refusal.value.status_code == 400
