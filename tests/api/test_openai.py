"""OpenAI's dialect: translation of requests, exact bytes of answers."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import zstandard

from pollama.errors import BadRequestError, GenerationError, ModelNotFoundError, NameRequiredError
from pollama.types.events import Done, Embeddings, Piece, Rendered
from pollama.types.generation import Logprob
from pollama.types.library import ModelDescription, ModelDetails, ModelListing
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest, Format, ToolChoice
from tests.api.conftest import Answer, Api
from tests.api.fakes import make_model

CHAT = "/v1/chat/completions"
TALK: dict[str, Any] = {"model": "test", "messages": [{"role": "user", "content": "hi"}]}
DONE = Done(reason="stop", prompt_tokens=5, generated_tokens=2)
USAGE = '"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}'
NUMBER = "json: cannot unmarshal number into Go struct field"
EFFORTS = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
CALL = ToolCall(name="f", arguments={"a": "<"}, id="call_1")
SHOWN_CALL = (
    '{"id":"call_1","index":0,"type":"function","function":{"name":"f","arguments":"{\\"a\\":\\"\\\\u003c\\"}"}}'
)


def steady(body: bytes) -> str:
    """Return a body with identifiers and times replaced."""
    text = re.sub(r'"id":"(chatcmpl|cmpl)-\d+"', r'"id":"\1"', body.decode())
    return re.sub(r'"created":\d+', '"created":1', text)


def events_of(answer: Answer) -> list[str]:
    """Return the data of the server-sent events of a stream."""
    assert answer.content_type == "text/event-stream"
    lines = steady(answer.body).split("\n\n")
    assert lines.pop() == ""
    return [line.removeprefix("data: ") for line in lines]


def chunk(choices: str, extra: str = "") -> str:
    """Return a chunk of a chat completion."""
    head = '{"id":"chatcmpl","object":"chat.completion.chunk","created":1,"model":"test",'
    return head + f'"system_fingerprint":"fp_ollama","choices":[{choices}]{extra}}}'


def delta(fields: str, reason: str = "null") -> str:
    """Return a chunk with one choice."""
    return chunk(f'{{"index":0,"delta":{fields},"finish_reason":{reason}}}')


async def test_a_chat_completion(api: Api) -> None:
    api.inference.events = [Piece(content="H", thinking="hm"), Piece(content="i"), DONE]
    answer = await api.post(CHAT, TALK)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert steady(answer.body) == (
        '{"id":"chatcmpl","object":"chat.completion","created":1,"model":"test","system_fingerprint":"fp_ollama",'
        '"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"hm"},'
        '"finish_reason":"stop"}],' + USAGE + "}\n"
    )


async def test_a_streamed_chat_completion(api: Api) -> None:
    api.inference.events = [Piece(content="Hi"), Piece(content="!", thinking="hm"), Piece(tool_calls=[CALL]), DONE]
    answer = await api.post(CHAT, {**TALK, "stream": True, "stream_options": {"include_usage": True}})
    assert events_of(answer) == [
        delta('{"role":"assistant","content":"Hi"}'),
        delta('{"reasoning":"hm"}'),
        delta('{"content":"!"}'),
        delta('{"content":"","tool_calls":[' + SHOWN_CALL + "]}"),
        delta("{}", '"tool_calls"'),
        chunk("", "," + USAGE),
        "[DONE]",
    ]


async def test_an_answer_of_the_last_event_alone_begins_with_a_role(api: Api) -> None:
    api.inference.events = [Done(reason="load")]
    answer = await api.post(CHAT, {**TALK, "stream": True})
    assert events_of(answer) == [
        delta('{"role":"assistant","content":""}'),
        delta("{}", '"load"'),
        "[DONE]",
    ]


async def test_calls_do_not_hide_that_the_answer_was_cut(api: Api) -> None:
    api.inference.events = [Done(reason="length", last=Piece(tool_calls=[CALL]))]
    choice = json.loads((await api.post(CHAT, TALK)).body)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":"\\u003c"}'}


async def test_logprobs_stand_in_the_choice(api: Api) -> None:
    entry = Logprob(token="a", logprob=-1.5)
    api.inference.events = [Piece(content="a", logprobs=[entry]), DONE]
    shown = '"logprobs":{"content":[{"token":"a","logprob":-1.5,"bytes":[97]}]}'
    assert shown in (await api.post(CHAT, TALK)).body.decode()
    assert shown in events_of(await api.post(CHAT, {**TALK, "stream": True}))[0]


async def test_a_rendered_prompt(api: Api) -> None:
    api.inference.events = [Rendered(template="x", image_count=1)]
    body = json.loads((await api.post(CHAT, TALK)).body)
    assert body["choices"][0] == {"index": 0, "message": {"role": "", "content": ""}, "finish_reason": None}
    assert body["_debug_info"] == {"rendered_template": "x", "image_count": 1}


async def test_a_failure_before_the_answer_has_its_status(api: Api) -> None:
    api.inference.events = [ModelNotFoundError("nope")]
    for stream in (False, True):
        answer = await api.post(CHAT, {**TALK, "stream": stream})
        assert (answer.status, answer.content_type) == (404, "application/json")
        assert answer.body == (
            b'{"error":{"message":"model \'nope\' not found","type":"not_found_error","param":null,"code":null}}\n'
        )


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_a_failure_within_a_stream_is_an_error_in_place_of_a_chunk(api: Api, path: str) -> None:
    api.inference.events = [Piece(content="a"), GenerationError("engine gone")]
    events = events_of(await api.post(path, {**TALK, "prompt": "hi", "stream": True}))
    assert events[1:] == ['{"error":{"message":"engine gone","type":"api_error","param":null,"code":null}}']


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "EOF"),
        ("{", "unexpected EOF"),
        ("{}", "[] is too short - 'messages'"),
        (
            '{"temperature":"x"}',
            "json: cannot unmarshal string into Go struct field ChatCompletionRequest.temperature of type float64",
        ),
        (
            '{"messages":[{"tool_calls":[{"function":{"name":1}}]}]}',
            "json: cannot unmarshal number into Go struct field .messages.tool_calls.function.name of type string",
        ),
        (
            '{"stream_options":{"include_usage":1}}',
            f"{NUMBER} StreamOptions.stream_options.include_usage of type bool",
        ),
    ],
)
async def test_what_cannot_be_decoded_is_refused(api: Api, body: str, text: str) -> None:
    answer = await api.post(CHAT, body.encode())
    assert (answer.status, answer.content_type) == (400, "application/json; charset=utf-8")
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    assert json.loads(answer.body) == {"error": error}
    assert not answer.body.endswith(b"\n")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, "invalid message content type: <nil>"),
        ({"content": 1}, "invalid message content type: float64"),
        ({"content": {}}, "invalid message content type: map[string]interface {}"),
        ({"content": ["x"]}, "invalid message format"),
        ({"content": [{"type": "text"}]}, "invalid message format"),
        ({"content": [{"type": "video"}]}, "invalid message format"),
        (
            {"content": [{"type": "image_url", "image_url": "http://x"}]},
            "image URLs are not currently supported, please use base64 encoded data instead",
        ),
        (
            {"content": [{"type": "image_url", "image_url": {"url": "data:text/plain;base64,aGk="}}]},
            "invalid image input",
        ),
        ({"content": [{"type": "input_audio", "input_audio": 1}]}, "invalid input_audio format"),
        ({"content": [{"type": "input_audio", "input_audio": {}}]}, "invalid input_audio format: missing data"),
        (
            {"content": [{"type": "input_audio", "input_audio": {"data": "%"}}]},
            "invalid input_audio base64 data: illegal base64 data at input byte 0",
        ),
        ({"content": "", "tool_calls": [{"function": {"arguments": ""}}]}, "invalid tool call arguments"),
    ],
)
async def test_messages_that_mean_nothing_are_refused(api: Api, message: dict[str, Any], text: str) -> None:
    answer = await api.post(CHAT, {"model": "m", "messages": [message]})
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"] == text


async def test_a_conversation_is_translated(api: Api) -> None:
    image = base64.b64encode(b"png").decode()
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
    ]
    await api.post(
        CHAT,
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "D"},
                {"role": "user", "content": parts},
                {"role": "assistant", "content": None, "reasoning": "R", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "max_tokens": 5,
            "stop": "a",
            "seed": 3,
            "top_p": 0,
            "reasoning": {"effort": "minimal"},
            "response_format": {"type": " JSON_Object "},
            "top_logprobs": 2,
            "logprobs": True,
        },
    )
    assert api.inference.requests == [
        ChatRequest(
            model="m",
            messages=[
                Message(role="developer", content="D"),
                Message(role="user", content="look"),
                Message(role="user", images=[b"png"]),
                Message(
                    role="assistant",
                    thinking="R",
                    tool_calls=[ToolCall(name="f", arguments={"x": 1}, id="c1")],
                ),
                Message(role="tool", content="42", tool_name="f", tool_call_id="c1"),
            ],
            tools=[Tool(type="function", name="f", parameters=ToolParameters())],
            options={"num_predict": 5, "seed": 3, "temperature": 1.0, "top_p": 0, "stop": ["a"]},
            think="low",
            format=Format(given=True, value="json"),
            logprobs=True,
            top_logprobs=2,
        )
    ]


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("medium", "medium"), ("xhigh", "max"), ("ultra", "max"), (None, None)],
)
async def test_reasoning_effort_is_how_much_to_think(api: Api, effort: str | None, think: object) -> None:
    await api.post(CHAT, {**TALK, "reasoning_effort": effort})
    assert [request.think for request in api.inference.requests if isinstance(request, ChatRequest)] == [think]


async def test_an_unknown_effort_is_refused(api: Api) -> None:
    answer = await api.post(CHAT, {**TALK, "reasoning_effort": "loud"})
    assert json.loads(answer.body)["error"]["message"] == (f'invalid reasoning value: "loud" (must be {EFFORTS})')


async def test_the_range_of_top_logprobs_is_checked_after_the_translation(api: Api) -> None:
    answer = await api.post(CHAT, {**TALK, "top_logprobs": 21})
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert json.loads(answer.body)["error"]["message"] == "top_logprobs must be between 0 and 20"


async def test_a_text_completion(api: Api) -> None:
    api.inference.events = [Piece(content="H", thinking="unseen"), Piece(content="i"), DONE]
    answer = await api.post("/v1/completions", {"model": "test", "prompt": "x"})
    assert steady(answer.body) == (
        '{"id":"cmpl","object":"text_completion","created":1,"model":"test","system_fingerprint":"fp_ollama",'
        '"choices":[{"text":"Hi","index":0,"finish_reason":"stop"}],' + USAGE + "}\n"
    )


async def test_a_streamed_text_completion(api: Api) -> None:
    api.inference.events = [Piece(content="Hi"), DONE]
    body = {"model": "test", "prompt": "x", "stream": True, "stream_options": {"include_usage": True}}
    head = '{"id":"cmpl","object":"text_completion","created":1,"choices":['
    tail = '],"model":"test","system_fingerprint":"fp_ollama",'
    nothing = '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
    assert events_of(await api.post("/v1/completions", body)) == [
        head + '{"text":"Hi","index":0,"finish_reason":null}' + tail + nothing,
        head + '{"text":"","index":0,"finish_reason":"stop"}' + tail + nothing,
        head + tail + USAGE + "}",
        "[DONE]",
    ]


async def test_a_text_completion_is_translated(api: Api) -> None:
    body = {"model": "m", "prompt": "p", "suffix": "s", "top_p": 0, "max_tokens": 3, "logprobs": 2, "stop": ["a"]}
    await api.post("/v1/completions", body)
    options = {
        "num_predict": 3,
        "temperature": 1.0,
        "top_p": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "stop": ["a"],
    }
    assert api.inference.requests == [
        CompletionRequest(model="m", prompt="p", suffix="s", options=options, logprobs=True, top_logprobs=2)
    ]


SCORED: list[Piece | Done] = [
    Piece(content="Hé", logprobs=[Logprob(token="H", logprob=-0.5), Logprob(token="é", logprob=-1.0)]),
    Piece(thinking="hm", logprobs=[Logprob(token="hm", logprob=-9.0)]),
    Piece(
        content="y",
        logprobs=[
            Logprob(
                token="y",
                logprob=-2.0,
                top=[Logprob(token=other, logprob=score) for other, score in (("x", -1.5), ("z", -3.0), ("z", -4.0))],
            )
        ],
    ),
    DONE,
]  # fmt: skip
ALTERNATIVES = {"x": -1.5, "y": -2.0, "z": -3.0}


async def test_a_text_completion_shows_probabilities(api: Api) -> None:
    api.inference.events = [*SCORED]
    body = {"model": "m", "prompt": "p", "logprobs": 3}
    (choice,) = json.loads((await api.post("/v1/completions", body)).body)["choices"]
    assert choice["logprobs"] == {
        "tokens": ["H", "é", "y"],
        "token_logprobs": [-0.5, -1.0, -2.0],
        "top_logprobs": [{"H": -0.5}, {"é": -1.0}, ALTERNATIVES],
        "text_offset": [0, 1, 2],
    }
    streamed = events_of(await api.post("/v1/completions", {**body, "stream": True}))[:-1]
    choices = [json.loads(event)["choices"][0] for event in streamed]
    assert [choice.get("logprobs") for choice in choices] == [
        {"tokens": ["H", "é"], "token_logprobs": [-0.5, -1.0], "top_logprobs": None, "text_offset": [0, 1]},
        None,
        {"tokens": ["y"], "token_logprobs": [-2.0], "top_logprobs": [ALTERNATIVES], "text_offset": [2]},
        None,
    ]


async def test_a_text_completion_repeats_its_prompt(api: Api) -> None:
    api.inference.events = [Piece(content="Hi"), Piece(content="!"), DONE]
    body = {"model": "m", "prompt": "Oh: ", "echo": True, "n": 2}
    whole = json.loads((await api.post("/v1/completions", body)).body)["choices"]
    assert [choice["text"] for choice in whole] == ["Oh: Hi!"] * 2
    texts = ["", ""]
    for event in events_of(await api.post("/v1/completions", {**body, "stream": True}))[:-1]:
        (choice,) = json.loads(event)["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts == ["Oh: Hi!"] * 2
    assert [request.prompt for request in api.inference.requests if isinstance(request, CompletionRequest)] == [
        "Oh: "
    ] * 4


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"echo": True, "logprobs": 0}, "echo is not supported together with logprobs"),
        ({"best_of": 3, "n": 2}, "best_of is not supported unless it is equal to n"),
        ({"best_of": 2}, "best_of is not supported unless it is equal to n"),
        ({"logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ({"logprobs": -1}, "top_logprobs must be between 0 and 20"),
    ],
)
async def test_completions_say_what_they_cannot_give(api: Api, more: dict[str, Any], text: str) -> None:
    answer = await api.post("/v1/completions", {"model": "m", "prompt": "p", **more})
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == {
        "message": text,
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


async def test_null_is_the_same_as_nothing_for_completions(api: Api) -> None:
    api.inference.events = [DONE]
    fields = (
        "best_of",
        "echo",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "n",
        "stop",
        "stream_options",
        "suffix",
        "user",
    )
    for body in ({}, dict.fromkeys(fields)):
        assert (await api.post("/v1/completions", {"model": "m", "prompt": "p", **body})).status == 200
    assert api.inference.requests[0] == api.inference.requests[1]


async def test_text_completions_word_a_missing_name_as_a_missing_model(api: Api) -> None:
    api.inference.events = [NameRequiredError()]
    answer = await api.post("/v1/completions", {"prompt": "x"})
    assert answer.status == 404
    assert json.loads(answer.body)["error"]["message"] == "model '' not found"


async def test_stops_must_be_texts(api: Api) -> None:
    answer = await api.post("/v1/completions", {"model": "m", "stop": ["a", 1]})
    assert json.loads(answer.body)["error"]["message"] == "invalid type for 'stop' field: float64"


async def test_embeddings(api: Api) -> None:
    api.inference.embeddings = Embeddings(vectors=[[0.10000000149011612, -1.0]], prompt_tokens=2)
    answer = await api.post("/v1/embeddings", {"model": "emb", "input": ""})
    assert answer.body == (
        b'{"object":"list","data":[{"object":"embedding","embedding":[0.1,-1],"index":0}],"model":"emb",'
        b'"usage":{"prompt_tokens":2,"total_tokens":2}}\n'
    )
    assert api.inference.requests == [EmbedRequest(model="emb", inputs=[""])]
    encoded = await api.post("/v1/embeddings", {"model": "emb", "input": ["x"], "encoding_format": "Base64"})
    assert json.loads(encoded.body)["data"][0]["embedding"] == "zczMPQAAgL8="


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "invalid input"),
        ({"input": []}, "invalid input"),
        ({"input": [1]}, "invalid input type"),
        ({"input": 5}, "invalid input type"),
        (
            {"encoding_format": "hex"},
            "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
        ),
    ],
)
async def test_inputs_that_cannot_be_embedded_are_refused(api: Api, fields: dict[str, Any], text: str) -> None:
    answer = await api.post("/v1/embeddings", {"model": "emb", **fields})
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"] == text


async def test_models_are_listed(api: Api) -> None:
    assert (await api.get("/v1/models")).body == b'{"object":"list","data":null}\n'
    api.library.listings = [
        ModelListing(name=name, digest="", size=1, modified_at=7.9, details=ModelDetails())
        for name in ("a:latest", "me/b:x", "host/me/c:x")
    ]
    models = json.loads((await api.get("/v1/models")).body)["data"]
    assert models[0] == {"id": "a:latest", "object": "model", "created": 7, "owned_by": "library"}
    assert [model["owned_by"] for model in models] == ["library", "me", "me"]


async def test_one_model(api: Api) -> None:
    assert (await api.get("/v1/models/nope")).status == 404
    api.library.description = ModelDescription(
        model=make_model(),
        details=ModelDetails(),
        model_info={},
        projector_info=None,
        tensors=(),
        modelfile="",
        parameters="",
        template="",
    )
    answer = await api.get("/v1/models/TEST")
    assert answer.body == b'{"id":"TEST","object":"model","created":1700000000,"owned_by":"library"}\n'
    assert (await api.get("/v1/models/me%2Ftest")).body == b"404 page not found"


async def test_bodies_may_be_compressed(api: Api) -> None:
    api.inference.events = [BadRequestError("stop here")]
    packed = zstandard.compress(json.dumps(TALK).encode())
    answer = await api.post(CHAT, packed, Content_Encoding="zstd")
    assert json.loads(answer.body)["error"]["message"] == "stop here"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"nonsense", "invalid input: magic number mismatch"),
        (zstandard.compress(b" " * (20 << 20) + b"{}"), "http: request body too large"),
    ],
)
async def test_bad_compression_is_refused_in_the_native_envelope(api: Api, data: bytes, text: str) -> None:
    answer = await api.post(CHAT, data, Content_Encoding="zstd")
    assert (answer.status, json.loads(answer.body)) == (400, {"error": text})


async def test_a_cloud_name_is_refused_before_anything_else(api: Api) -> None:
    answer = await api.post(CHAT, {"model": "x:cloud"})
    assert (answer.status, answer.body) == (401, b'{"error":"unauthorized"}')


FORM = "multipart/form-data; boundary=B"


def form(*parts: tuple[str, str]) -> bytes:
    """Return a multipart body."""
    texts = [f"--B\r\nContent-Disposition: form-data; name={name}\r\n\r\n{text}\r\n" for name, text in parts]
    return "".join([*texts, "--B--\r\n"]).encode()


async def test_audio_is_transcribed_by_a_chat(api: Api) -> None:
    api.inference.events = [Piece(content=" Hello "), DONE]
    parts = (("model", "m"), ("file; filename=a.wav", "RIFF"), ("language", "English"), ("prompt", "P"))
    answer = await api.post("/v1/audio/transcriptions", form(*parts), Content_Type=FORM)
    assert (answer.body, answer.content_type) == (b'{"text":"Hello"}\n', "application/json")
    (request,) = api.inference.requests
    assert isinstance(request, ChatRequest)
    assert request.messages[0].content.endswith(" The audio is in English. Context: P")
    assert request.messages[1].images == [b"RIFF"]
    plain = form(*parts, ("response_format", "text"))
    answer = await api.post("/v1/audio/transcriptions", plain, Content_Type=FORM)
    assert (answer.body, answer.content_type) == (b"Hello", "text/plain")


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"", "text/plain", "failed to parse multipart form: request Content-Type isn't multipart/form-data"),
        (form(("x", "y")), FORM, "model is required"),
        (form(("model", "m")), FORM, "file is required: http: no such file"),
        (form(("model", "m"), ("file; filename=a", "")), FORM, "audio file is empty"),
    ],
)
async def test_incomplete_forms_are_refused(api: Api, body: bytes, content_type: str, text: str) -> None:
    answer = await api.post("/v1/audio/transcriptions", body, Content_Type=content_type)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"] == text


async def test_several_choices_of_one_prompt(api: Api) -> None:
    api.inference.events = [Piece(content="Hi"), DONE]
    body = json.loads((await api.post(CHAT, {**TALK, "n": 3, "seed": 7})).body)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in body["choices"]} == {"Hi"}
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    assert sorted(request.choice for request in api.inference.requests if isinstance(request, ChatRequest)) == [0, 1, 2]


@pytest.mark.parametrize(("path", "parts"), [(CHAT, 2), ("/v1/completions", 1)])
async def test_a_stream_of_several_choices_has_one_end(api: Api, path: str, parts: int) -> None:
    api.inference.events = [Piece(content="Hi"), DONE]
    body = {**TALK, "prompt": "hi", "n": 2, "stream": True, "stream_options": {"include_usage": True}}
    *events, counts, end = events_of(await api.post(path, body))
    assert end == "[DONE]"
    assert json.loads(counts)["choices"] == []
    assert json.loads(counts)["usage"]["completion_tokens"] == 4
    choices = [json.loads(event)["choices"][0] for event in events]
    assert sorted(choice["index"] for choice in choices) == [0, 0, 1, 1]
    assert [choice["finish_reason"] for choice in choices].count("stop") == 2


async def test_a_choice_that_fails_ends_the_others(api: Api) -> None:
    api.inference.events = [Piece(content="Hi"), GenerationError("engine gone")]
    assert (await api.post(CHAT, {**TALK, "n": 2})).status == 500
    await api.inference.closed.wait()


@pytest.mark.parametrize("count", [0, -1, 129])
async def test_a_number_of_choices_that_cannot_be_is_refused(api: Api, count: int) -> None:
    answer = await api.post(CHAT, {**TALK, "n": count})
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (400, "n must be between 1 and 128")


FUNCTIONS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]


@pytest.mark.parametrize(
    ("value", "choice", "tools"),
    [
        ("none", ToolChoice(mode="none"), ["f", "g"]),
        ("auto", ToolChoice(), ["f", "g"]),
        ("required", ToolChoice(mode="required"), ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, ToolChoice(mode="required", name="g"), ["f", "g"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": FUNCTIONS[:1]}},
            ToolChoice(mode="required"),
            ["f"],
        ),
    ],
)
async def test_a_choice_of_tools(api: Api, value: object, choice: ToolChoice, tools: list[str]) -> None:
    api.inference.events = [DONE]
    await api.post(CHAT, {**TALK, "tools": FUNCTIONS, "tool_choice": value})
    request = api.inference.requests[0]
    assert isinstance(request, ChatRequest)
    assert (request.tool_choice, [tool.name for tool in request.tools]) == (choice, tools)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sometimes", 'invalid tool_choice: "sometimes"'),
        (5, "invalid tool_choice: 5"),
        ({"type": "function"}, 'invalid tool_choice: {"type":"function"}'),
        ({"type": "custom", "custom": {"name": "f"}}, "invalid tool_choice:"),
        ({"type": "allowed_tools", "tools": "f"}, "invalid tool_choice:"),
        (
            {"type": "allowed_tools", "tools": [{"name": "h"}]},
            'tool_choice names "h", which is none of the request\'s tools',
        ),
    ],
)
async def test_a_choice_of_tools_that_means_nothing_is_refused(api: Api, value: object, text: str) -> None:
    answer = await api.post(CHAT, {**TALK, "tools": FUNCTIONS, "tool_choice": value})
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith(text)


async def test_calls_behind_the_first_are_left_out_where_only_one_is_wanted(api: Api) -> None:
    other = ToolCall(name="g", id="call_2", index=1)
    api.inference.events = [Piece(content="a", tool_calls=[CALL, other]), Piece(tool_calls=[other]), DONE]
    body = {**TALK, "tools": FUNCTIONS, "parallel_tool_calls": False}
    message = json.loads((await api.post(CHAT, body)).body)["choices"][0]["message"]
    assert message["content"] == "a"
    assert [call["id"] for call in message["tool_calls"]] == ["call_1"]
    streamed = events_of(await api.post(CHAT, {**body, "stream": True}))
    assert [event.count('"call_2"') for event in streamed] == [0] * 3


@pytest.mark.parametrize(
    ("bias", "text"),
    [
        ({"x": 1}, 'logit_bias: "x" is not a token id'),
        ({"5": 100.5}, "logit_bias of 5 must be between -100 and 100"),
        ({"5": -101}, "logit_bias of 5 must be between -100 and 100"),
    ],
)
async def test_a_bias_that_cannot_be_is_refused(api: Api, bias: dict[str, float], text: str) -> None:
    answer = await api.post(CHAT, {**TALK, "logit_bias": bias})
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (400, text)


async def test_a_form_that_cannot_be_read_is_refused(api: Api) -> None:
    body = '--x\r\nContent-Disposition: form-data; name="\x06"\r\n\r\nm\r\n--x--\r\n'
    kind = "multipart/form-data; boundary=x"
    answer = await api.post("/v1/audio/transcriptions", body, Content_Type=kind)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith("failed to parse multipart form: ")


async def test_a_streamed_transcription_is_refused(api: Api) -> None:
    body = form(("model", "m"), ("stream", "true"), ("file; filename=a.wav", "RIFF"))
    answer = await api.post("/v1/audio/transcriptions", body, Content_Type=FORM)
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (400, "stream is not supported")
