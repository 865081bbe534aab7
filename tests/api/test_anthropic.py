"""Anthropic's dialect: translation of requests, content blocks of answers."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pollama.api.services import Services
from pollama.errors import GenerationError, ModelNotFoundError
from pollama.types.events import Done, Piece
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty
from pollama.types.requests import ChatRequest
from tests.api.conftest import Answer, Api

PATH = "/v1/messages"
TALK: dict[str, Any] = {"model": "test", "max_tokens": 9, "messages": [{"role": "user", "content": "please count"}]}
DONE = Done(reason="stop", prompt_tokens=5, generated_tokens=2)
CALL = ToolCall(name="f", arguments={"b": 1, "a": 2}, id="call_1")
NUMBER = "json: cannot unmarshal number into Go struct field"
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def steady(body: bytes) -> str:
    """Return a body with its identifiers replaced, after a check of their form."""
    return re.sub(r'"(msg_|req_|srvtoolu_)[0-9a-f]{24}"', r'"\1"', body.decode())


def events_of(answer: Answer) -> list[str]:
    """Return the data of the events of a stream; the name of each is its type."""
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("text/event-stream", "no-cache")
    events = [event.split("\n") for event in steady(answer.body).split("\n\n")[:-1]]
    for name, data in events:
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    return [data.removeprefix("data: ") for _, data in events]


def block(index: int, kind: str, *deltas: str, **start: Any) -> list[str]:
    """Return the events of one content block."""
    shown = json.dumps({"type": kind, **start}, separators=(",", ":"))
    return [
        f'{{"type":"content_block_start","index":{index},"content_block":{shown}}}',
        *(f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}' for delta in deltas),
        f'{{"type":"content_block_stop","index":{index}}}',
    ]


def begin(tokens: int = 4) -> str:
    """Return the first event of a stream."""
    message = '{"id":"msg_","type":"message","role":"assistant","model":"test","content":[],'
    return f'{{"type":"message_start","message":{message}"usage":{{"input_tokens":{tokens},"output_tokens":0}}}}}}'


def end(reason: str) -> list[str]:
    """Return the last events of a stream."""
    usage = '"usage":{"input_tokens":5,"output_tokens":2}'
    return [
        f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},{usage}}}',
        '{"type":"message_stop"}',
    ]


async def test_a_message(api: Api) -> None:
    api.inference.events = [Piece(thinking="hm"), Piece(content="Hi"), Piece(tool_calls=[CALL]), DONE]
    answer = await api.post(PATH, TALK)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert steady(answer.body) == (
        '{"id":"msg_","type":"message","role":"assistant","model":"test","content":['
        '{"type":"thinking","thinking":"hm"},{"type":"text","text":"Hi"},'
        '{"type":"tool_use","id":"call_1","name":"f","input":{"b":1,"a":2}}],'
        '"stop_reason":"tool_use","usage":{"input_tokens":5,"output_tokens":2}}\n'
    )


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (DONE, "end_turn"),
        (replace(DONE, reason="length"), "max_tokens"),
        (replace(DONE, reason="load"), "stop_sequence"),
    ],
)
async def test_an_empty_message(api: Api, done: Done, reason: str) -> None:
    api.inference.events = [done]
    body = json.loads((await api.post(PATH, TALK)).body)
    assert (body["content"], body["stop_reason"]) == (None, reason)
    assert events_of(await api.post(PATH, {**TALK, "stream": True})) == [begin(5), *end(reason)]


async def test_a_stream_of_blocks(api: Api) -> None:
    api.inference.events = [
        Piece(thinking="h"),
        Piece(thinking="m", content="H"),
        Piece(content="i", thinking="dropped"),
        Piece(tool_calls=[CALL, CALL]),
        DONE,
    ]
    arguments = '{"type":"input_json_delta","partial_json":"{\\"b\\":1,\\"a\\":2}"}'
    thoughts = [f'{{"type":"thinking_delta","thinking":"{text}"}}' for text in "hm"]
    texts = [f'{{"type":"text_delta","text":"{text}"}}' for text in "Hi"]
    assert events_of(await api.post(PATH, {**TALK, "stream": True})) == [
        begin(),
        *block(0, "thinking", *thoughts, thinking=""),
        *block(1, "text", *texts, text=""),
        *block(2, "tool_use", arguments, id="call_1", name="f", input={}),
        *end("tool_use"),
    ]


async def test_thinking_may_follow_a_text(api: Api) -> None:
    api.inference.events = [Piece(content="a"), Piece(thinking="b"), DONE]
    assert events_of(await api.post(PATH, {**TALK, "stream": True}))[1:-2] == [
        *block(0, "text", '{"type":"text_delta","text":"a"}', text=""),
        *block(1, "thinking", '{"type":"thinking_delta","thinking":"b"}', thinking=""),
    ]


async def test_a_failure_before_the_answer_has_its_status(api: Api) -> None:
    api.inference.events = [ModelNotFoundError("nope")]
    answer = await api.post(PATH, {**TALK, "stream": True})
    assert (answer.status, answer.content_type) == (404, "application/json")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert steady(answer.body) == (
        '{"type":"error","error":{"type":"not_found_error","message":"model \'nope\' not found"},"request_id":"req_"}\n'
    )


async def test_a_failing_stream_ends_with_an_error_event(api: Api) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    last = (await api.post(PATH, {**TALK, "stream": True})).body.decode().split("\n\n")[-2]
    assert last.startswith('event: error\ndata: {"type":"error","error":{"type":"api_error","message":"engine gone"}')


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model": ""}, "model is required"),
        ({"max_tokens": 0}, "max_tokens is required and must be positive"),
        ({"messages": []}, "messages is required"),
        (
            {"output_config": {"effort": "some"}},
            'invalid output_config.effort: "some" (must be one of "low", "medium", "high", "xhigh", "max")',
        ),
        ({"messages": [{"role": "user"}]}, "unexpected end of JSON input"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            f"{NUMBER} MessagesRequest.messages of type []anthropic.ContentBlock",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "invalid image source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
            "invalid image source type: url. Only base64 images are supported.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "%"}}]}]},
            "invalid base64 image data: illegal base64 data at input byte 0",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "f"}]}]},
            "tool_use block missing required 'id' field",
        ),
        (
            {"tools": [{"name": "f", "input_schema": {"type": 5}}]},
            f'invalid input_schema for tool "f": {NUMBER} ToolFunctionParameters.type of type string',
        ),
    ],
)
async def test_what_cannot_be_translated_is_refused(api: Api, fields: dict[str, Any], text: str) -> None:
    answer = await api.post(PATH, {**TALK, **fields})
    assert (answer.status, answer.content_type) == (400, "application/json; charset=utf-8")
    assert json.loads(answer.body)["error"] == {"type": "invalid_request_error", "message": text}


async def test_a_conversation_is_translated(api: Api) -> None:
    image = {"type": "image", "source": {"type": "base64", "data": base64.b64encode(b"png").decode()}}
    await api.post(
        PATH,
        {
            "model": "m",
            "max_tokens": 7,
            "system": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, image, {"type": "other"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "T", "signature": "s"},
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "go on"},
                        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "42"}]},
                    ],
                },
                {"role": "user", "content": None},
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
            "temperature": 0.5,
            "top_k": 3,
            "stop_sequences": ["x"],
            "thinking": {"type": "enabled", "budget_tokens": 100},
        },
    )
    assert api.inference.requests == [
        ChatRequest(
            model="m",
            messages=[
                Message(role="system", content="One.Two."),
                Message(role="user", content="a", images=[b"png"]),
                Message(role="assistant", thinking="T", tool_calls=[ToolCall(name="f", arguments={"x": 1}, id="t1")]),
                Message(role="tool", content="42", tool_call_id="t1"),
                Message(role="user", content="go on"),
            ],
            tools=[
                Tool(
                    type="function",
                    name="f",
                    description="d",
                    parameters=ToolParameters(type="object", properties={}),
                )
            ],
            options={"num_predict": 7, "temperature": 0.5, "top_k": 3, "stop": ["x"]},
            think=True,
            lenient_think=True,
        )
    ]


class TestWebSearch:
    async def test_a_search_is_offered_as_a_function_and_fails(self, api: Api) -> None:
        search = ToolCall(name="web_search", arguments={"query": "q"}, id="call_2")
        api.inference.events = [Piece(content="let me see"), Piece(tool_calls=[search]), DONE]
        body = json.loads(steady((await api.post(PATH, {**TALK, "tools": [SEARCH]})).body))
        assert body["stop_reason"] == "end_turn"
        assert body["content"] == [
            {"type": "server_tool_use", "id": "srvtoolu_", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_",
                "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
            },
        ]
        (request,) = api.inference.requests
        assert isinstance(request, ChatRequest)
        assert request.tools[0].parameters.properties == {
            "query": ToolProperty(type=("string",), description="The search query to look up on the web")
        }

    async def test_a_stream_that_may_search_has_another_type(self, api: Api) -> None:
        api.inference.events = [DONE]
        answer = await api.post(PATH, {**TALK, "tools": [SEARCH], "stream": True})
        assert answer.content_type == "application/x-ndjson"

    class TestWithCloudDisabled:
        @pytest.fixture
        def services(self, services: Services) -> Services:
            return replace(services, cloud_disabled=True, cloud_source="env")

        async def test_it_is_forbidden(self, api: Api) -> None:
            answer = await api.post(PATH, {**TALK, "tools": [SEARCH]})
            assert answer.status == 403
            assert json.loads(answer.body)["error"] == {
                "type": "permission_error",
                "message": "ollama cloud is disabled: web search is unavailable",
            }
