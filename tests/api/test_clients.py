"""The vendors' own clients understand the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import ollama
import openai
import pytest

from pollama.errors import ModelNotFoundError
from pollama.types.events import Done, Embeddings, Piece
from pollama.types.messages import ToolCall
from tests.api.conftest import Api

DONE = Done(reason="stop", prompt_tokens=5, generated_tokens=2)
CALL = ToolCall(name="get_weather", arguments={"city": "Paris"}, id="call_1")


@pytest.fixture
async def openai_client(api: Api) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{api.base}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_client(api: Api) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=api.base, api_key="none", max_retries=0) as client:
        yield client


async def test_openai_chat(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    api.inference.events = [Piece(content="Hel"), Piece(content="lo", tool_calls=[CALL]), DONE]
    whole = await openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert whole.choices[0].message.content == "Hello"
    assert whole.usage is not None
    assert whole.usage.total_tokens == 7
    stream = await openai_client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    choices = [chunk.choices[0] async for chunk in stream]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello"
    assert choices[-1].finish_reason == "tool_calls"


async def test_openai_responses(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    api.inference.events = [Piece(thinking="hm"), Piece(content="Hello"), DONE]
    whole = await openai_client.responses.create(model="m", input="hi")
    assert whole.output_text == "Hello"
    stream = await openai_client.responses.create(model="m", input="hi", stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "Hello"


async def test_openai_embeddings_and_models(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    api.inference.embeddings = Embeddings(vectors=[[0.5, -1.0]], prompt_tokens=1)
    result = await openai_client.embeddings.create(model="m", input="x")
    assert result.data[0].embedding == [0.5, -1.0]


async def test_openai_failures(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    api.inference.events = [ModelNotFoundError("m")]
    with pytest.raises(openai.NotFoundError, match="model 'm' not found"):
        await openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


async def test_anthropic_messages(api: Api, anthropic_client: anthropic.AsyncAnthropic) -> None:
    api.inference.events = [Piece(thinking="hm"), Piece(content="Hello"), Piece(tool_calls=[CALL]), DONE]
    message = await anthropic_client.messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    )
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    async with anthropic_client.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        final = await stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]


async def test_ollama(api: Api) -> None:
    api.inference.events = [Piece(content="Hel"), Piece(content="lo"), DONE]
    messages = [{"role": "user", "content": "hi"}]
    async with ollama.AsyncClient(host=api.base) as client:
        whole = await client.chat(model="m", messages=messages)
        parts = [part async for part in await client.chat(model="m", messages=messages, stream=True)]
    assert whole.message.content == "Hello"
    assert "".join(part.message.content or "" for part in parts) == "Hello"
    assert parts[-1].eval_count == 2
