"""OpenAI's responses: items in, one object or a stream of events out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pollama.api.openai.responses.store import KEPT_SECONDS, MOST_BYTES, MOST_RESPONSES, ResponseStore
from pollama.errors import BadRequestError, GenerationError, ModelNotFoundError
from pollama.types.events import Done, Piece
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty
from pollama.types.requests import ChatRequest, Format
from tests.api.conftest import Answer, Api

PATH = "/v1/responses"
ASK: dict[str, Any] = {"model": "test", "input": "hi"}
DONE = Done(reason="stop", prompt_tokens=5, generated_tokens=2)
NUMBER = "json: cannot unmarshal number into Go value of type []json.RawMessage"
CALL = ToolCall(name="f", arguments={"b": 1}, id="call_1")


def events_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the events of a stream, after a check of their numbers and names."""
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("text/event-stream", "no-cache")
    pairs = [event.split("\n") for event in answer.body.decode().split("\n\n")[:-1]]
    events = [json.loads(data.removeprefix("data: ")) for _, data in pairs]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [name for name, _ in pairs] == [f"event: {event['type']}" for event in events]
    assert all(list(event) == sorted(event) for event in events)
    return events


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


async def test_a_response(api: Api) -> None:
    api.inference.events = [Piece(thinking="hm"), Piece(content="Hi"), DONE]
    answer = await api.post(PATH, {**ASK, "instructions": "I", "reasoning": {"effort": "low"}, "truncation": "auto"})
    assert answer.content_type == "application/json"
    body = json.loads(answer.body)
    number = body["id"].removeprefix("resp_")
    assert body.pop("created_at") == body.pop("completed_at")
    message = body["output"][1]
    assert message.pop("id").startswith("msg_")
    assert body == {
        "id": f"resp_{number}",
        "object": "response",
        "status": "completed",
        "incomplete_details": None,
        "model": "test",
        "previous_response_id": None,
        "instructions": "I",
        "output": [
            {
                "id": f"rs_resp_{number}",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "hm",
            },
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
            },
        ],
        "error": None,
        "tools": [],
        "tool_choice": "auto",
        "truncation": "auto",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": 1,
        "reasoning": {"effort": "low"},
        "usage": {
            "input_tokens": 5,
            "output_tokens": 2,
            "total_tokens": 7,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        "max_output_tokens": None,
        "max_tool_calls": None,
        "store": False,
        "background": False,
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


async def test_calls_take_the_place_of_the_text(api: Api) -> None:
    api.inference.events = [Piece(content="unseen"), Piece(tool_calls=[CALL]), DONE]
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    body = json.loads((await api.post(PATH, {**ASK, "tools": [tool]})).body)
    assert body["output"] == [
        {
            "id": f"fc_{body['id']}_0",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"b":1}',
        }
    ]
    assert body["tools"] == [{**tool, "description": None, "strict": None}]


async def test_a_stream_of_reasoning_and_text(api: Api) -> None:
    api.inference.events = [Piece(thinking="h"), Piece(thinking="m"), Piece(content="H"), Piece(content="i"), DONE]
    events = events_of(await api.post(PATH, {**ASK, "stream": True, "reasoning": {"effort": "low"}}))
    assert names(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["usage"] is None
    assert events[0]["response"]["reasoning"] == {"effort": "low", "summary": None}
    assert [event["output_index"] for event in events[2:-1]] == [0] * 5 + [1] * 7
    completed = events[-1]["response"]
    assert completed["id"] == events[0]["response"]["id"]
    assert completed["usage"]["total_tokens"] == 7
    assert completed["output"] == [events[6]["item"], events[13]["item"]]
    assert completed["output"][1]["content"][0]["text"] == "Hi"


async def test_a_text_before_a_call_is_an_item_of_its_own(api: Api) -> None:
    api.inference.events = [Piece(content="a"), Piece(tool_calls=[CALL]), Piece(content="dropped"), DONE]
    events = events_of(await api.post(PATH, {**ASK, "stream": True}))
    assert names(events)[2:] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["output_index"] for event in events[2:-1]] == [0] * 6 + [1] * 4
    assert events[8]["item"]["arguments"] == ""
    assert events[9]["delta"] == events[10]["arguments"] == '{"b":1}'
    assert events[-1]["response"]["output"] == [events[7]["item"], events[11]["item"]]
    assert events[7]["item"]["content"][0]["text"] == "a"


async def test_a_thought_behind_the_text_is_left_out(api: Api) -> None:
    api.inference.events = [Piece(content="a"), Piece(thinking="hm"), Piece(content="b"), DONE]
    events = events_of(await api.post(PATH, {**ASK, "stream": True}))
    (item,) = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == "ab"


async def test_a_stream_without_output_says_null(api: Api) -> None:
    api.inference.events = [Done(reason="load")]
    events = events_of(await api.post(PATH, {"model": "test", "stream": True}))
    assert names(events) == ["created", "in_progress", "completed"]
    assert events[-1]["response"]["output"] is None


async def test_a_failure_before_the_answer_has_its_status(api: Api) -> None:
    api.inference.events = [ModelNotFoundError("nope")]
    answer = await api.post(PATH, {**ASK, "stream": True})
    assert (answer.status, answer.content_type) == (404, "application/json")
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_a_failing_stream_ends_with_a_failed_response(api: Api) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    last = events_of(await api.post(PATH, {**ASK, "stream": True}))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "engine gone"}


async def test_a_search_of_the_web_fails(api: Api) -> None:
    search = ToolCall(name="web_search", arguments={"query": "q"}, id="call_2")
    api.inference.events = [Piece(content="a"), replace(DONE, last=Piece(tool_calls=[search]))]
    body = {**ASK, "tools": [{"type": "web_search"}]}
    whole = await api.post(PATH, body)
    assert whole.status == 401
    assert json.loads(whole.body)["error"]["type"] == "api_error"
    failed = events_of(await api.post(PATH, {**body, "stream": True}))[-1]
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "authentication_error", "message": "unauthorized"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, f"input must be a string or array: {NUMBER}"),
        ([{}], "input[0]: input item missing required 'type' field"),
        ([{"type": "zzz"}], 'input[0]: unknown input item type: "zzz"'),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "zzz"}]}],
            "input[0]: content[1]: unknown content type: zzz",
        ),
        (
            [{"role": "user", "content": 5}],
            f"input[0]: content must be a string or array: {NUMBER}",
        ),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "file inputs are not currently supported"),
        (
            [{"type": "function_call", "arguments": "bad"}],
            "failed to parse function call arguments: invalid character 'b' looking for beginning of value",
        ),
    ],
)
async def test_input_that_means_nothing_is_refused(api: Api, value: object, text: str) -> None:
    answer = await api.post(PATH, {"model": "m", "input": value})
    assert (answer.status, answer.content_type) == (400, "application/json; charset=utf-8")
    assert json.loads(answer.body)["error"]["message"] == text


async def test_items_are_translated(api: Api) -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    member = {"type": "function", "name": "g", "parameters": {"properties": {"x": {"type": "string"}}}}
    await api.post(
        PATH,
        {
            "model": "m",
            "instructions": "I",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
                {"type": "reasoning", "encrypted_content": "T"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
                {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
                {"type": "message", "role": "assistant", "content": "calling"},
                {"type": "function_call_output", "call_id": "c1", "output": "42"},
                {"type": "web_search_call"},
                {"type": "reasoning", "encrypted_content": "last"},
            ],
            "tools": [{"type": "namespace", "name": "ns", "tools": [member]}],
            "max_output_tokens": 5,
            "text": {"format": {"type": "json_schema", "name": "s", "schema": schema}},
            "reasoning": {"effort": "none"},
        },
    )
    calls = [ToolCall(name="f", arguments={"x": 1}, id="c1"), ToolCall(name="f", arguments={}, id="c2")]
    assert api.inference.requests == [
        ChatRequest(
            model="m",
            messages=[
                Message(role="system", content="I"),
                Message(role="user", content="ab"),
                Message(role="assistant", content="calling", thinking="T", tool_calls=calls),
                Message(role="tool", content="42", tool_call_id="c1"),
                Message(role="assistant", thinking="last"),
            ],
            tools=[
                Tool(
                    type="function",
                    name="ns.g",
                    parameters=ToolParameters(properties={"x": ToolProperty(type=("string",))}),
                )
            ],
            options={"temperature": 1.0, "num_predict": 5},
            think=False,
            format=Format(given=True, value=schema),
        )
    ]


TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


async def said(api: Api, body: dict[str, Any], **headers: str) -> list[Message]:
    """Return the messages of the request that a body becomes."""
    assert (await api.post(PATH, {"model": "m", **body}, **headers)).status == 200
    request = api.inference.requests[-1]
    assert isinstance(request, ChatRequest)
    return request.messages


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_goes_on_with_the_one_before(api: Api, streamed: bool) -> None:
    api.inference.events = [Piece(thinking="hm"), Piece(tool_calls=[CALL]), DONE]
    first = await api.post(
        PATH, {"model": "m", "input": "hi", "instructions": "I", "tools": [TOOL], "stream": streamed}
    )
    identity = events_of(first)[0]["response"]["id"] if streamed else json.loads(first.body)["id"]
    api.inference.events = [Piece(content="42"), DONE]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    second = await api.post(PATH, {"model": "m", "previous_response_id": identity, "input": [output]})
    assert json.loads(second.body)["previous_response_id"] == identity
    history = [
        Message(role="user", content="hi"),
        Message(role="assistant", thinking="hm", tool_calls=[CALL]),
        Message(role="tool", content="1", tool_call_id="call_1"),
    ]
    assert api.inference.requests[-1].messages == history  # type: ignore[union-attr]
    third = {"previous_response_id": json.loads(second.body)["id"], "input": "and?", "instructions": "J"}
    assert await said(api, third) == [
        Message(role="system", content="J"),
        *history,
        Message(role="assistant", content="42"),
        Message(role="user", content="and?"),
    ]


async def test_a_response_that_is_not_kept_cannot_be_gone_on_with(api: Api) -> None:
    api.inference.events = [Piece(content="a"), DONE]
    unkept = json.loads((await api.post(PATH, {**ASK, "store": False})).body)["id"]
    kept = json.loads((await api.post(PATH, ASK, Authorization="Bearer one")).body)["id"]
    for identity, key in ((unkept, "Bearer one"), (kept, "Bearer two"), ("resp_x", "Bearer one")):
        answer = await api.post(PATH, {**ASK, "previous_response_id": identity}, Authorization=key)
        message = json.loads(answer.body)["error"]["message"]
        assert (answer.status, message) == (400, f'previous_response_id: response "{identity}" not found')
    await said(api, {"input": "b", "previous_response_id": kept}, Authorization="Bearer one")


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def test_responses_are_kept_for_a_while() -> None:
    now = 0.0
    store = ResponseStore(lambda: now)
    store.keep("c", "a", user("x"))
    now = KEPT_SECONDS - 1
    store.keep("c", "b", user("y"))
    assert store.messages("c", "a") == user("x")
    now = KEPT_SECONDS
    with pytest.raises(BadRequestError):
        store.messages("c", "a")
    assert store.messages("c", "b") == user("y")


def test_the_oldest_responses_make_room() -> None:
    store = ResponseStore()
    for number in range(MOST_RESPONSES + 1):
        store.keep("c", str(number), user("x"))
    store.messages("c", "1")
    with pytest.raises(BadRequestError):
        store.messages("c", "0")
    store.keep("c", "large", [Message(role="user", images=[bytes(MOST_BYTES)])])
    assert store.messages("c", "large")
    with pytest.raises(BadRequestError):
        store.messages("c", str(MOST_RESPONSES))
    store.keep("c", "too large", [Message(role="user", images=[bytes(MOST_BYTES + 1)])])
    with pytest.raises(BadRequestError):
        store.messages("c", "too large")
