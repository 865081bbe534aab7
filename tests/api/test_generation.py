"""/api/generate and /api/chat: records, content types, failures before and within a stream."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from pollama.errors import BadRequestError, GenerationError, ModelNotFoundError, NameRequiredError, OptionTypeError
from pollama.types.events import Done, Piece, Rendered
from pollama.types.generation import Logprob
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty
from pollama.types.requests import FOREVER, ChatRequest, CompletionRequest, Format
from tests.api.conftest import Api

PROMPT = {"model": "test", "prompt": "hi"}
TALK = {"model": "test", "messages": [{"role": "user", "content": "hi"}]}
DONE = Done(
    reason="stop",
    total_duration=50,
    load_duration=5,
    prompt_tokens=5,
    prompt_duration=10,
    generated_tokens=2,
    generate_duration=20,
)
PARAMETERS = "Go struct field ToolFunctionParameters.tools.function.parameters"
METRICS = (
    '"total_duration":50,"load_duration":5,"prompt_eval_count":5,'
    '"prompt_eval_duration":10,"eval_count":2,"eval_duration":20'
)


def untimed(body: bytes) -> str:
    """Return a body with its times of creation replaced, after a check of their form."""
    return re.sub(r'"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z"', '"created_at":"T"', body.decode())


async def test_generate_streams_one_record_for_each_piece(api: Api) -> None:
    api.inference.events = [Piece(content="<Hé>"), Piece(thinking="hm"), DONE]
    answer = await api.post("/api/generate", PROMPT)
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    assert untimed(answer.body).splitlines() == [
        '{"model":"test","created_at":"T","response":"\\u003cHé\\u003e","done":false}',
        '{"model":"test","created_at":"T","response":"","thinking":"hm","done":false}',
        '{"model":"test","created_at":"T","response":"","done":true,"done_reason":"stop",' + METRICS + "}",
    ]
    assert answer.body.endswith(b"}\n")


async def test_chat_streams_messages(api: Api) -> None:
    calls = [ToolCall(name="f", arguments={"b": 1, "a": "<"}, id="call_1")]
    api.inference.events = [Piece(content="Hi"), Piece(tool_calls=calls), DONE]
    answer = await api.post("/api/chat", TALK)
    called = '"tool_calls":[{"id":"call_1","function":{"index":0,"name":"f","arguments":{"b":1,"a":"\\u003c"}}}]'
    assert untimed(answer.body).splitlines() == [
        '{"model":"test","created_at":"T","message":{"role":"assistant","content":"Hi"},"done":false}',
        f'{{"model":"test","created_at":"T","message":{{"role":"assistant","content":"",{called}}},"done":false}}',
        '{"model":"test","created_at":"T","message":{"role":"assistant","content":""},'
        '"done":true,"done_reason":"stop",' + METRICS + "}",
    ]


async def test_without_a_stream_everything_is_joined(api: Api) -> None:
    api.inference.events = [
        Piece(content="He", thinking="a"),
        Piece(content="llo", thinking="b"),
        Done(reason="length", last=Piece(content="!"), context=[1, 2], generated_tokens=3),
    ]
    answer = await api.post("/api/generate", {**PROMPT, "stream": False})
    assert answer.content_type == "application/json; charset=utf-8"
    assert untimed(answer.body) == (
        '{"model":"test","created_at":"T","response":"Hello!","thinking":"ab","done":true,"done_reason":"length",'
        '"context":[1,2],"eval_count":3}'
    )


@pytest.mark.parametrize(("tools", "calls"), [([{"type": "function", "function": {"name": "f"}}], 2), ([], 1)])
async def test_calls_of_all_pieces_are_gathered_when_tools_were_offered(
    api: Api, tools: list[dict[str, Any]], calls: int
) -> None:
    api.inference.events = [
        Piece(tool_calls=[ToolCall(name="f")]),
        Done(reason="stop", last=Piece(tool_calls=[ToolCall(name="g", index=1)])),
    ]
    answer = await api.post("/api/chat", {**TALK, "tools": tools, "stream": False})
    assert len(json.loads(answer.body)["message"]["tool_calls"]) == calls


async def test_logprobs_stand_after_the_metrics_in_generate_and_before_them_in_chat(api: Api) -> None:
    entry = Logprob(token="é", logprob=-0.5, data="é".encode(), top=[Logprob(token="", logprob=-1.0)])
    api.inference.events = [Done(reason="stop", last=Piece(logprobs=[entry]), generated_tokens=1)]
    shown = '"logprobs":[{"token":"é","logprob":-0.5,"bytes":[195,169],"top_logprobs":[{"token":"","logprob":-1}]}]'
    generated = await api.post("/api/generate", PROMPT)
    assert generated.body.decode().rstrip().endswith(f'"eval_count":1,{shown}}}')
    talked = await api.post("/api/chat", TALK)
    assert talked.body.decode().rstrip().endswith(f'"done_reason":"stop",{shown},"eval_count":1}}')


@pytest.mark.parametrize("reason", ["load", "unload"])
async def test_load_and_unload_are_one_object_even_when_streaming(api: Api, reason: Any) -> None:
    api.inference.events = [Done(reason=reason)]
    answer = await api.post("/api/generate", {"model": "test"})
    assert answer.content_type == "application/json; charset=utf-8"
    assert untimed(answer.body) == (
        f'{{"model":"test","created_at":"T","response":"","done":true,"done_reason":"{reason}"}}'
    )


async def test_a_rendered_prompt_is_one_object(api: Api) -> None:
    api.inference.events = [Rendered(template="<s>", image_count=1)]
    debug = '"done":false,"_debug_info":{"rendered_template":"\\u003cs\\u003e","image_count":1}}'
    generated = await api.post("/api/generate", PROMPT)
    assert untimed(generated.body) == f'{{"model":"test","created_at":"T","response":"",{debug}'
    talked = await api.post("/api/chat", TALK)
    assert untimed(talked.body) == f'{{"model":"test","created_at":"T","message":{{"role":"","content":""}},{debug}'


async def test_an_answer_without_an_end_has_no_final_record(api: Api) -> None:
    api.inference.events = [Piece(content="a"), Piece(content="b")]
    streamed = await api.post("/api/generate", PROMPT)
    assert [json.loads(line)["done"] for line in streamed.body.splitlines()] == [False, False]
    whole = await api.post("/api/generate", {**PROMPT, "stream": False})
    assert untimed(whole.body) == '{"model":"test","created_at":"T","response":"ab","done":false}'


async def test_a_refusal_has_its_status_and_a_charset(api: Api) -> None:
    api.inference.events = [OptionTypeError("num_ctx", "of type integer")]
    answer = await api.post("/api/generate", PROMPT)
    assert (answer.status, answer.content_type) == (500, "application/json; charset=utf-8")
    assert answer.body == b'{"error":"option \\"num_ctx\\" must be of type integer"}'


@pytest.mark.parametrize(
    ("stream", "content_type"), [(True, "application/json"), (False, "application/json; charset=utf-8")]
)
async def test_a_failed_generation_has_no_charset_where_a_stream_was_wanted(
    api: Api, stream: bool, content_type: str
) -> None:
    api.inference.events = [GenerationError("too <long>", 400)]
    answer = await api.post("/api/chat", {**TALK, "stream": stream})
    assert (answer.status, answer.content_type, answer.body) == (
        400,
        content_type,
        b'{"error":"too \\u003clong\\u003e"}',
    )


async def test_a_failure_within_a_stream_is_its_last_line(api: Api) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    answer = await api.post("/api/generate", PROMPT)
    assert answer.status == 200
    assert answer.body.splitlines()[1:] == [b'{"error":"engine gone"}']


async def test_without_a_stream_a_late_failure_still_has_a_status(api: Api) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    answer = await api.post("/api/generate", {**PROMPT, "stream": False})
    assert (answer.status, answer.body) == (500, b'{"error":"engine gone"}')


async def test_a_missing_name_reads_differently_on_each_endpoint(api: Api) -> None:
    api.inference.events = [NameRequiredError()]
    generated = await api.post("/api/generate", {})
    assert (generated.status, generated.body) == (404, b'{"error":"model \'\' not found"}')
    talked = await api.post("/api/chat", {})
    assert (talked.status, talked.body) == (400, b'{"error":"model is required"}')


async def test_a_missing_model_is_404(api: Api) -> None:
    api.inference.events = [ModelNotFoundError("nope")]
    answer = await api.post("/api/chat", {**TALK, "model": "nope"})
    assert (answer.status, answer.body) == (404, b'{"error":"model \'nope\' not found"}')


async def test_a_client_that_goes_away_closes_the_generation(api: Api) -> None:
    api.inference.endless = True
    async with api.session.post(f"{api.base}/api/generate", json=PROMPT) as response:
        await response.content.readline()
        response.close()
    await api.inference.closed.wait()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_gives_up_waiting_leaves_the_queue(api: Api, stream: bool) -> None:
    api.inference.blocked = True
    asking = asyncio.create_task(api.post("/api/chat", {**TALK, "stream": stream}))
    await api.inference.waiting.wait()
    asking.cancel()
    await api.inference.closed.wait()


async def test_clients_are_told_apart_by_key_or_address(api: Api) -> None:
    api.inference.events = [DONE]
    await api.post("/api/chat", TALK)
    await api.post("/api/chat", TALK, Authorization="Bearer secret")
    await api.post("/api/chat", TALK, Authorization="Bearer other")
    address, one, other = api.inference.clients
    assert address == "127.0.0.1"
    assert one != other
    assert "secret" not in one


async def test_a_cloud_name_is_refused(api: Api) -> None:
    answer = await api.post("/api/chat", {**TALK, "model": "test:cloud"})
    assert (answer.status, answer.body) == (401, b'{"error":"unauthorized"}')
    assert api.inference.requests == []


@pytest.mark.parametrize("count", [-1, 21])
async def test_top_logprobs_has_a_range(api: Api, count: int) -> None:
    answer = await api.post("/api/generate", {"model": "nope", "top_logprobs": count})
    assert (answer.status, answer.body) == (400, b'{"error":"top_logprobs must be between 0 and 20"}')


async def test_all_fields_of_generate_arrive(api: Api) -> None:
    api.inference.events = [BadRequestError("stop here")]
    await api.post(
        "/api/generate",
        {
            "MODEL": " Test ",
            "prompt": "p",
            "suffix": "s",
            "system": "sys",
            "template": "t",
            "context": [],
            "raw": True,
            "format": None,
            "keep_alive": -1,
            "images": ["aGk="],
            "options": {"b": 1.0, "a": {"z": 1, "y": 2}},
            "think": "low",
            "truncate": False,
            "shift": False,
            "logprobs": True,
            "top_logprobs": 2,
            "_debug_render_only": True,
            "unknown": {},
        },
    )
    assert api.inference.requests == [
        CompletionRequest(
            model=" Test ",
            prompt="p",
            suffix="s",
            system="sys",
            template="t",
            context=[],
            raw=True,
            format=Format(given=True),
            keep_alive=FOREVER,
            images=[b"hi"],
            options={"a": {"y": 2, "z": 1}, "b": 1.0},
            think="low",
            truncate=False,
            shift=False,
            logprobs=True,
            top_logprobs=2,
            debug_render_only=True,
        )
    ]


async def test_a_conversation_arrives(api: Api) -> None:
    api.inference.events = [BadRequestError("stop here")]
    call = {"id": "c", "function": {"name": "f", "arguments": {"b": 1, "a": {"d": 1, "c": 2}}}}
    properties = {"b": {"type": "string", "title": "B"}, "a": {"type": ["integer", "null"], "enum": [1]}}
    function = {"name": "f", "parameters": {"type": "object", "required": ["b"], "properties": properties}}
    messages = [{"role": "Assistant", "tool_calls": [call]}, None]
    await api.post(
        "/api/chat", {"model": "m", "messages": messages, "tools": [{"type": "function", "function": function}]}
    )
    parameters = ToolParameters(
        type="object",
        required=["b"],
        properties={"b": ToolProperty(type=("string",)), "a": ToolProperty(type=("integer", "null"), enum=[1])},
    )
    wanted = ToolCall(id="c", name="f", arguments={"b": 1, "a": {"c": 2, "d": 1}})
    assert api.inference.requests == [
        ChatRequest(
            model="m",
            messages=[Message(role="assistant", tool_calls=[wanted]), Message(role="")],
            tools=[Tool(type="function", name="f", parameters=parameters)],
        )
    ]


@pytest.mark.parametrize("number", ["-1", "-1e-12", "-1e308", "1e308"])
async def test_a_keep_alive_below_zero_or_beyond_all_times_is_for_ever(api: Api, number: str) -> None:
    api.inference.events = [BadRequestError("stop here")]
    await api.post("/api/chat", f'{{"model":"m","keep_alive":{number}}}'.encode())
    assert api.inference.requests == [ChatRequest(model="m", keep_alive=FOREVER)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "missing request body"),
        (" \n", "missing request body"),
        ("{", "unexpected EOF"),
        ('{"model":"nope",}', "invalid character '}' looking for beginning of object key string"),
        ("[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (
            '{"model":1,"messages":"x"}',
            "json: cannot unmarshal number into Go struct field ChatRequest.model of type string",
        ),
        (
            '{"messages":["x"]}',
            "json: cannot unmarshal string into Go struct field ChatRequest.messages of type api.Alias",
        ),
        (
            '{"messages":[{"role":1}]}',
            "json: cannot unmarshal number into Go struct field ChatRequest.messages.role of type string",
        ),
        ('{"tools":{}}', "json: cannot unmarshal object into Go struct field ChatRequest.tools of type api.Tools"),
        (
            '{"tools":[{"function":{"name":1}}]}',
            "json: cannot unmarshal number into Go struct field ToolFunction.tools.function.name of type string",
        ),
        (
            '{"tools":[{"function":{"parameters":{"type":["object"]}}}]}',
            f"json: cannot unmarshal array into {PARAMETERS}.type of type string",
        ),
        (
            '{"tools":[{"function":{"parameters":{"properties":{"a":1}}}}]}',
            f"json: cannot unmarshal number into {PARAMETERS}.properties of type api.ToolProperty",
        ),
        (
            '{"tools":[{"function":{"parameters":{"properties":[]}}}]}',
            "Value looks like object, but can't find closing '}' symbol",
        ),
        ('{"model":1,"keep_alive":"abc"}', 'time: invalid duration "abc"'),
        (
            '{"options":{"x":1e999}}',
            "json: cannot unmarshal number 1e999 into Go struct field ChatRequest.options of type float64",
        ),
        *(
            (
                f'{{"keep_alive":{number}}}',
                f"json: cannot unmarshal number {number} into Go struct field ChatRequest.keep_alive of type float64",
            )
            for number in ("1e999", "-1e999", "-" + "9" * 400)
        ),
        ('{"messages":[{"images":["a"]}]}', "illegal base64 data at input byte 0"),
    ],
)
async def test_what_cannot_be_decoded_is_refused_in_gos_words(api: Api, body: str, text: str) -> None:
    answer = await api.post("/api/chat", body.encode())
    assert answer.status == 400
    assert json.loads(answer.body) == {"error": text}
