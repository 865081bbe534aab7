"""Loops of tool calls with the demo model, by the official client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import ollama
import pytest

from tests.e2e.server import Server, running_server

ANSWERS = {"Oslo": "4 degrees and wet", "Rome": "21 degrees and dry"}
WILD = {"temperature": 2, "num_predict": 100}
SCHEMA = {
    "type": "object",
    "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}, "hours": {"type": "integer"}},
    "required": ["zone", "hours"],
}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "Get the time.", "parameters": SCHEMA}}


def get_weather(city: str) -> str:
    """Get the weather.

    Args:
      city: the city
    """
    return ANSWERS[city]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model."""
    with running_server(tmp_path_factory.mktemp("demo")) as server:
        server.json("POST", "/api/pull", {"model": "demo", "stream": False})
        yield server


@pytest.fixture
def client(demo: Server) -> Iterator[ollama.Client]:
    """The official client."""
    with ollama.Client(demo.url) as opened:
        yield opened


def reply(
    client: ollama.Client, messages: Sequence[Any], *, think: bool, stream: bool, tools: Sequence[Any] = (get_weather,)
) -> ollama.Message:
    """Return the next message of the model, put together where it is streamed."""
    if not stream:
        return client.chat("demo", messages, tools=tools, think=think).message
    whole = ollama.Message(role="assistant", content="", thinking="", tool_calls=[])
    for part in client.chat("demo", messages, tools=tools, think=think, stream=True):
        whole.content = (whole.content or "") + (part.message.content or "")
        whole.thinking = (whole.thinking or "") + (part.message.thinking or "")
        whole.tool_calls = [*(whole.tool_calls or []), *(part.message.tool_calls or [])]
    return whole


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("think", [False, True])
def test_a_tool_loop_of_two_turns_ends_with_the_right_answer(
    client: ollama.Client, *, think: bool, stream: bool
) -> None:
    messages: list[Any] = []
    for city, weather in ANSWERS.items():
        messages.append({"role": "user", "content": f"What is the weather in {city}?"})
        asked = reply(client, messages, think=think, stream=stream)
        assert asked.tool_calls, asked
        call = asked.tool_calls[0].function
        assert (call.name, call.arguments) == ("get_weather", {"city": city})
        assert bool(asked.thinking) == think
        result = get_weather(**call.arguments)
        messages += [asked, {"role": "tool", "tool_name": call.name, "content": result}]
        answered = reply(client, messages, think=think, stream=stream)
        assert weather in (answered.content or ""), answered
        assert not answered.tool_calls
        messages.append(answered)


def test_what_a_wild_model_calls_is_a_tool_with_its_arguments(client: ollama.Client) -> None:
    messages = [{"role": "user", "content": "Get the time of Oslo."}]
    calls = []
    for seed in range(8):
        answer = client.chat("demo", messages, tools=[CLOCK], think=False, options={**WILD, "seed": seed})
        calls += [call.function for call in answer.message.tool_calls or ()]
    assert calls
    for call in calls:
        assert call.name == "get_time"
        jsonschema.validate(call.arguments, {**SCHEMA, "additionalProperties": False})


WEATHER_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA}}


def openai_message(server: Server, **fields: Any) -> Any:
    """Return the message of a chat in OpenAI's dialect, which has a choice of tools."""
    messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
    body = {"model": "demo", "messages": messages, "tools": [CLOCK, WEATHER], "max_tokens": 200, **fields}
    return server.json("POST", "/v1/chat/completions", body)["choices"][0]["message"]


@pytest.mark.parametrize("effort", ["none", "high"])
def test_a_named_tool_is_called_whatever_is_asked(demo: Server, effort: str) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    for seed in range(3):
        message = openai_message(demo, tool_choice=choice, reasoning_effort=effort, seed=seed)
        assert [call["function"]["name"] for call in message["tool_calls"]][:1] == ["get_time"]
        assert bool(message.get("reasoning")) == (effort == "high")


def test_a_required_call_comes_where_the_model_would_only_talk(demo: Server) -> None:
    greeting = [{"role": "user", "content": "Hello!"}]
    assert not openai_message(demo, messages=greeting, temperature=0).get("tool_calls")
    assert openai_message(demo, messages=greeting, temperature=0, tool_choice="required")["tool_calls"]


def test_tools_that_may_not_be_called_are_not_shown(demo: Server) -> None:
    message = openai_message(demo, tool_choice="none", temperature=0)
    assert not message.get("tool_calls")
    assert "<tool_call>" not in (message["content"] or "")
