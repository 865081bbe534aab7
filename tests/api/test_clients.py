"""The vendors' own clients understand the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import ollama
import openai
import pydantic
import pytest

from pollama.errors import GenerationError, ModelNotFoundError
from pollama.types.events import Done, Embeddings, Piece
from pollama.types.generation import Logprob
from pollama.types.messages import ToolCall
from pollama.types.requests import ChatRequest
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


class Person(pydantic.BaseModel):
    """What is asked for."""

    name: str
    age: int | None


HELLO: Any = [{"role": "user", "content": "hi"}]
IDA = '{"name":"Ida","age":7}'
FUNCTION = openai.pydantic_function_tool(Person, name="get_person")
FLAT_FUNCTION: Any = {"type": "function", "strict": True, **FUNCTION["function"]}


async def test_openai_parses_models(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    api.inference.events = [Piece(content=IDA), DONE]
    chat = await openai_client.chat.completions.parse(model="m", messages=HELLO, response_format=Person)
    assert chat.choices[0].message.parsed == Person(name="Ida", age=7)
    response = await openai_client.responses.parse(model="m", input="hi", text_format=Person)
    assert response.output_parsed == Person(name="Ida", age=7)
    asked = [request.format.value for request in api.inference.requests if isinstance(request, ChatRequest)]
    assert [schema["required"] for schema in asked if isinstance(schema, dict)] == [["name", "age"]] * 2


async def test_openai_gathers_streams(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    """The helpers check that events belong together."""
    call = ToolCall(name="get_person", arguments={"name": "Ida", "age": 7}, id="call_1")
    api.inference.events = [
        Piece(thinking="hm"),
        Piece(content="One "),
        Piece(content="moment"),
        Piece(tool_calls=[call]),
        DONE,
    ]
    async with openai_client.chat.completions.stream(
        model="m", messages=HELLO, tools=[FUNCTION], stream_options={"include_usage": True}
    ) as chat:
        chatted = await chat.get_final_completion()
    message = chatted.choices[0].message
    assert (message.content, chatted.usage and chatted.usage.total_tokens) == ("One moment", 7)
    assert [each.function.parsed_arguments for each in message.tool_calls or []] == [Person(name="Ida", age=7)]
    async with openai_client.responses.stream(model="m", input="hi", tools=[FLAT_FUNCTION]) as stream:
        seen = [event.type async for event in stream]
        responded = await stream.get_final_response()
    assert [item.type for item in responded.output] == ["reasoning", "message", "function_call"]
    assert responded.output_text == "One moment"
    assert {"response.output_text.done", "response.function_call_arguments.done"} < set(seen)


async def test_openai_and_anthropic_learn_of_a_stream_that_breaks(
    api: Api, openai_client: openai.AsyncOpenAI, anthropic_client: anthropic.AsyncAnthropic
) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    with pytest.raises(openai.APIError, match="engine gone"):
        async for _ in await openai_client.chat.completions.create(model="m", messages=HELLO, stream=True):
            pass
    with pytest.raises(openai.APIError, match="engine gone"):
        async for _ in await openai_client.completions.create(model="m", prompt="hi", stream=True):
            pass
    events = [event async for event in await openai_client.responses.create(model="m", input="hi", stream=True)]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None
    assert events[-1].response.error.message == "engine gone"
    with pytest.raises(anthropic.APIError, match="engine gone"):
        async with anthropic_client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
            await stream.get_final_message()


async def test_openai_legacy_probabilities(api: Api, openai_client: openai.AsyncOpenAI) -> None:
    scored = Logprob(token="a", logprob=-1.0, top=[Logprob(token="b", logprob=-2.0)])
    api.inference.events = [Piece(content="a", logprobs=[scored]), DONE]
    answer = await openai_client.completions.create(model="m", prompt="hi", logprobs=1)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert (logprobs.tokens, logprobs.token_logprobs, logprobs.text_offset) == (["a"], [-1.0], [0])
    assert logprobs.top_logprobs == [{"a": -1.0, "b": -2.0}]


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


async def test_anthropic_parses_models(api: Api, anthropic_client: anthropic.AsyncAnthropic) -> None:
    api.inference.events = [Piece(content=IDA), DONE]
    message = await anthropic_client.messages.parse(model="m", max_tokens=9, messages=HELLO, output_format=Person)
    assert message.parsed_output == Person(name="Ida", age=7)


async def test_anthropic_runs_tools(api: Api, anthropic_client: anthropic.AsyncAnthropic) -> None:
    @anthropic.beta_async_tool
    async def get_weather(city: str) -> str:
        """Return the weather.

        Args:
            city: where
        """
        api.inference.events = [Piece(content=f"wet in {city}"), DONE]
        return "wet"

    api.inference.events = [Piece(content="One moment"), Piece(tool_calls=[CALL]), DONE]
    runner = anthropic_client.beta.messages.tool_runner(model="m", max_tokens=9, messages=HELLO, tools=[get_weather])
    final = await runner.until_done()
    assert [block.text for block in final.content if block.type == "text"] == ["wet in Paris"]
    asked = api.inference.requests[-1]
    assert isinstance(asked, ChatRequest)
    assert [message.role for message in asked.messages] == ["user", "assistant", "tool"]
    assert asked.messages[-1].content == "wet"


async def test_ollama(api: Api) -> None:
    api.inference.events = [Piece(content="Hel"), Piece(content="lo"), DONE]
    messages = [{"role": "user", "content": "hi"}]
    async with ollama.AsyncClient(host=api.base) as client:
        whole = await client.chat(model="m", messages=messages)
        parts = [part async for part in await client.chat(model="m", messages=messages, stream=True)]
    assert whole.message.content == "Hello"
    assert "".join(part.message.content or "" for part in parts) == "Hello"
    assert parts[-1].eval_count == 2
