"""Operations that report progress, and blobs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pollama.errors import BadRequestError, InvalidNameError, PollamaError
from pollama.types.events import Progress
from pollama.types.library import CreateRequest
from pollama.types.messages import Message
from tests.api.conftest import Api

STEPS: list[Progress | Exception] = [
    Progress(status="pulling manifest"),
    Progress(status="pulling abc", digest="sha256:abc", total=10, completed=5),
    Progress(status="success"),
]


@pytest.mark.parametrize("path", ["/api/create", "/api/pull", "/api/push"])
async def test_every_step_is_a_record(api: Api, path: str) -> None:
    api.library.progress = STEPS
    answer = await api.post(path, {"model": "m"})
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    assert answer.body == (
        b'{"status":"pulling manifest"}\n'
        b'{"status":"pulling abc","digest":"sha256:abc","total":10,"completed":5}\n'
        b'{"status":"success"}\n'
    )


async def test_without_a_stream_only_the_last_step_is_told(api: Api) -> None:
    api.library.progress = STEPS
    answer = await api.post("/api/pull", {"model": "m", "stream": False})
    assert (answer.status, answer.content_type, answer.body) == (200, "application/json", b'{"status":"success"}')


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_at_the_start_has_its_status(api: Api, stream: bool) -> None:
    api.library.progress = [BadRequestError("neither 'from' or 'files' was specified")]
    answer = await api.post("/api/create", {"model": "m", "stream": stream})
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert json.loads(answer.body) == {"error": "neither 'from' or 'files' was specified"}


async def test_a_later_failure_is_a_line_of_the_stream(api: Api) -> None:
    api.library.progress = [STEPS[0], PollamaError("pull model manifest: file does not exist")]
    streamed = await api.post("/api/pull", {"model": "m"})
    assert streamed.status == 200
    assert streamed.body.splitlines()[1] == b'{"error":"pull model manifest: file does not exist"}'
    whole = await api.post("/api/pull", {"model": "m", "stream": False})
    assert (whole.status, whole.body) == (500, b'{"error":"pull model manifest: file does not exist"}')


@pytest.mark.parametrize(("path", "text"), [("/api/pull", "invalid model name"), ("/api/push", "model is required")])
async def test_a_transfer_needs_a_name(api: Api, path: str, text: str) -> None:
    answer = await api.post(path, {})
    assert (answer.status, answer.content_type) == (400, "application/json; charset=utf-8")
    assert json.loads(answer.body) == {"error": text}


@pytest.mark.parametrize(
    ("name", "content_type"), [("a b", "application/json; charset=utf-8"), ("c d", "application/json")]
)
async def test_a_bad_target_is_found_before_the_work_begins(api: Api, name: str, content_type: str) -> None:
    api.library.progress = [InvalidNameError(name)]
    answer = await api.post("/api/create", {"model": "a b", "from": "c d"})
    assert (answer.status, answer.content_type) == (400, content_type)
    assert json.loads(answer.body) == {"error": "invalid model name"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"files": {"/x.gguf": "sha256:1"}}, "file path must be relative"),
        ({"files": {"a/../x": "sha256:1"}}, "file path must be relative"),
        ({"draft_files": {"a//x": "sha256:1"}}, "file path must be relative"),
        ({"files": {"x.gguf": ""}}, "invalid digest format"),
        ({"adapters": {"x.gguf": ""}}, "invalid digest format"),
        ({"draft_quantize": "q4_0"}, "--draft-quantize requires a DRAFT model"),
        ({"from": 5}, "json: cannot unmarshal number into Go struct field CreateRequest.from of type string"),
        (
            {"files": ["x"]},
            "json: cannot unmarshal array into Go struct field CreateRequest.files of type map[string]string",
        ),
    ],
)
async def test_create_refuses_what_cannot_be_meant(api: Api, fields: dict[str, Any], text: str) -> None:
    answer = await api.post("/api/create", {"model": "m", **fields})
    assert (answer.status, answer.content_type) == (400, "application/json; charset=utf-8")
    assert json.loads(answer.body) == {"error": text}
    assert api.library.created == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "json: cannot unmarshal number into Go value of type []string"),
        (["a", 5], "json: cannot unmarshal number into Go value of type string"),
    ],
)
async def test_a_license_of_the_wrong_type_is_found_at_work(api: Api, value: object, text: str) -> None:
    answer = await api.post("/api/create", {"model": "m", "from": "x", "license": value})
    assert (answer.status, answer.content_type) == (500, "application/json")
    assert json.loads(answer.body) == {"error": text}


async def test_all_fields_of_create_arrive(api: Api) -> None:
    api.library.progress = STEPS
    await api.post(
        "/api/create",
        {
            "name": "m",
            "from": "base",
            "files": {"a/b.gguf": "sha256:1"},
            "license": "L",
            "template": "T",
            "system": "S",
            "parameters": {"stop": ["x"], "temperature": 1.0},
            "messages": [{"role": "User", "content": "hi"}],
            "quantization": "q8_0",
            "info": {"context_length": 5},
            "requires": "0.1.0",
            "renderer": "r",
            "parser": "p",
        },
    )
    assert api.library.created == [
        CreateRequest(
            model="m",
            source="base",
            files={"a/b.gguf": "sha256:1"},
            licenses=["L"],
            template="T",
            system="S",
            parameters={"stop": ["x"], "temperature": 1.0},
            messages=[Message(role="user", content="hi")],
            quantize="q8_0",
            info={"context_length": 5},
            requires="0.1.0",
            renderer="r",
            parser="p",
        )
    ]


async def test_a_blob_is_stored_once(api: Api) -> None:
    data = b"x" * 1_000_000
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = f"/api/blobs/{digest}"
    assert (await api.send("HEAD", path)).status == 404
    stored = await api.post(path, data)
    assert (stored.status, stored.body, stored.content_type) == (201, b"", None)
    assert (await api.send("HEAD", path)).status == 200
    assert (await api.post(path, b"whatever")).status == 200


async def test_a_blob_must_match_its_digest(api: Api) -> None:
    digest = "sha256:" + "0" * 64
    answer = await api.post(f"/api/blobs/{digest}", b"x")
    actual = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    assert answer.status == 400
    assert json.loads(answer.body) == {"error": f'digest mismatch, expected "{digest}", got "{actual}"'}


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_a_malformed_digest_is_400(api: Api, method: str) -> None:
    assert (await api.send(method, "/api/blobs/nonsense", b"x")).status == 400
