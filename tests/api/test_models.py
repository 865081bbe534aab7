"""Listing, inspecting, copying and deleting models; embeddings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pollama.errors import BadRequestError, GenerationError, ModelNotFoundError, RunnerDiedError
from pollama.types.events import Embeddings
from pollama.types.generation import RunnerInfo
from pollama.types.library import ModelDescription, ModelDetails, ModelListing, TensorInfo
from pollama.types.model import ModelConfig
from pollama.types.plans import Plan
from pollama.types.ports import Resident
from pollama.types.requests import FOREVER, EmbedRequest
from tests.api.conftest import Api
from tests.api.fakes import make_model

DETAILS = ModelDetails(
    format="gguf", family="llama", families=("llama",), parameter_size="6", quantization_level="F16", context_length=8
)
SHOWN_DETAILS = (
    '"details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
    '"parameter_size":"6","quantization_level":"F16"'
)
MODIFIED = 1_700_000_000.25


@pytest.fixture(autouse=True)
def _universal_time(set_zone: Callable[[str], None]) -> None:
    set_zone("UTC")


async def test_an_empty_store_has_an_empty_list(api: Api) -> None:
    assert (await api.get("/api/tags")).body == b'{"models":[]}'
    assert (await api.get("/api/ps")).body == b'{"models":[]}'


async def test_tags_lists_models(api: Api) -> None:
    api.library.listings = [
        ModelListing(
            name="a:latest",
            digest="ab",
            size=7,
            modified_at=MODIFIED,
            details=DETAILS,
            capabilities=("completion",),
        )
    ]
    assert (await api.get("/api/tags")).body.decode() == (
        '{"models":[{"name":"a:latest","model":"a:latest","modified_at":"2023-11-14T22:13:20.25Z","size":7,'
        '"digest":"ab",' + SHOWN_DETAILS + ',"context_length":8},"capabilities":["completion"]}]}'
    )


async def test_ps_shows_what_is_loaded(api: Api) -> None:
    plan = Plan(shares=(), sequences=1, context_length=4096, cells=4096, shared_cells=True, batch=512)
    model = make_model(
        config=ModelConfig(
            model_format="gguf", model_family="llama", model_families=("llama",), model_type="6", file_type="F16"
        )
    )
    info = RunnerInfo(
        context_length=2048,
        trained_context=4096,
        sequences=1,
        cells=2048,
        embedding_length=8,
        vocabulary_length=10,
        bos=1,
        eos=2,
        bos_text="",
        adds_bos=True,
        adds_eos=False,
        can_shift=True,
    )
    api.scheduler.resident = [
        Resident(model=model, plan=plan, info=info, expires_at=1_700_000_000, total_bytes=12, gpu_bytes=3, in_use=0),
        Resident(
            model=make_model("other:latest"),
            plan=plan,
            info=None,
            expires_at=FOREVER,
            total_bytes=12,
            gpu_bytes=3,
            in_use=1,
        ),
    ]
    body = (await api.get("/api/ps")).body.decode()
    assert body.startswith(
        '{"models":[{"name":"test:latest","model":"test:latest","size":12,"digest":"'
        + "ab" * 32
        + '",'
        + SHOWN_DETAILS
        + '},"expires_at":"2023-11-14T22:13:20Z","size_vram":3,"context_length":2048}'
    )
    for_ever = json.loads(body)["models"][1]
    assert for_ever["context_length"] == 4096
    assert for_ever["expires_at"] > "2310"


async def test_show_tells_all_of_a_model(api: Api) -> None:
    api.library.description = ModelDescription(
        model=make_model(),
        details=DETAILS,
        model_info={"a": 0.5, "b": None, "e": []},
        projector_info=None,
        tensors=(TensorInfo(name="w", type="F32", shape=(2, 3)),),
        modelfile="FROM x\n",
        parameters='stop   "a"',
        template="{{ .Prompt }}",
    )
    answer = await api.post("/api/show", {"name": "test"})
    assert answer.body.decode() == (
        '{"modelfile":"FROM x\\n","parameters":"stop   \\"a\\"","template":"{{ .Prompt }}",'
        + SHOWN_DETAILS
        + '},"model_info":{"a":0.5,"b":null,"e":[]},"tensors":[{"name":"w","type":"F32","shape":[2,3]}],'
        '"capabilities":["completion"],"modified_at":"2023-11-14T22:13:20.25Z"}'
    )
    copilot = await api.post("/api/show", {"model": "test"}, User_Agent="GitHubCopilotChat/1")
    assert json.loads(copilot.body)["model_info"]["general.basename"] == "test"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [({}, 400, "model is required"), ({"model": "nope"}, 404, "model 'nope:latest' not found")],
)
async def test_show_refuses(api: Api, body: dict[str, str], status: int, text: str) -> None:
    answer = await api.post("/api/show", body)
    assert (answer.status, json.loads(answer.body)) == (status, {"error": text})


async def test_copy_and_delete_answer_with_nothing(api: Api) -> None:
    copied = await api.post("/api/copy", {"source": "a", "destination": "b"})
    deleted = await api.send("DELETE", "/api/delete", {"name": "a"})
    assert api.library.calls == [("copy", "a", "b"), ("delete", "a")]
    for answer in (copied, deleted):
        assert (answer.status, answer.body, answer.content_type) == (200, b"", None)


async def test_copy_words_a_missing_model_in_double_quotes(api: Api) -> None:
    answer = await api.post("/api/copy", {"source": "nope", "destination": "b"})
    assert (answer.status, json.loads(answer.body)) == (404, {"error": 'model "nope" not found'})


async def test_embed_writes_32_bit_numbers(api: Api) -> None:
    api.inference.embeddings = Embeddings(vectors=[[0.10000000149011612, 1.0]], prompt_tokens=3, total_duration=9)
    answer = await api.post("/api/embed", {"model": "emb", "input": "x", "truncate": False, "dimensions": 2})
    assert answer.body == b'{"model":"emb","embeddings":[[0.1,1]],"total_duration":9,"prompt_eval_count":3}'
    assert api.inference.requests == [EmbedRequest(model="emb", inputs=["x"], truncate=False, dimensions=2)]


async def test_the_old_endpoint_writes_64_bit_numbers(api: Api) -> None:
    api.inference.embeddings = Embeddings(vectors=[[0.10000000149011612, 3.0]], prompt_tokens=3)
    answer = await api.post("/api/embeddings", {"model": "emb", "prompt": "x"})
    assert answer.body == b'{"embedding":[0.10000000149011612,3]}'
    assert api.inference.requests == [EmbedRequest(model="emb", inputs=["x"], truncate=False, normalize=False)]


@pytest.mark.parametrize("value", [None, "", []])
async def test_nothing_to_embed_only_loads(api: Api, value: object) -> None:
    answer = await api.post("/api/embed", {"model": "emb", "input": value})
    assert answer.body == b'{"model":"emb","embeddings":[]}'
    assert (await api.post("/api/embeddings", {"model": "emb"})).body == b'{"embedding":[]}'


@pytest.mark.parametrize("value", [5, {}, ["a", 1], True])
async def test_an_input_of_the_wrong_type_is_refused(api: Api, value: object) -> None:
    answer = await api.post("/api/embed", {"model": "emb", "input": value})
    assert (answer.status, answer.body) == (400, b'{"error":"invalid input type"}')


async def test_a_bad_name_comes_before_a_bad_input(api: Api) -> None:
    answer = await api.post("/api/embed", {"input": 5})
    assert (answer.status, answer.body) == (404, b'{"error":"model \'\' not found"}')


async def test_the_embedding_endpoints_advise_to_pull(api: Api) -> None:
    api.inference.embeddings = ModelNotFoundError("nope")
    for path in ("/api/embed", "/api/embeddings"):
        answer = await api.post(path, {"model": "nope", "input": "x", "prompt": "x"})
        assert answer.status == 404
        assert json.loads(answer.body) == {"error": 'model "nope" not found, try pulling it first'}


async def test_an_engine_failure_is_500_on_the_old_endpoint(api: Api) -> None:
    for error in (GenerationError("boom", 400), BadRequestError("too long"), RunnerDiedError()):
        api.inference.embeddings = error
        assert (await api.post("/api/embed", {"model": "m", "input": "x"})).status == 400
        assert (await api.post("/api/embeddings", {"model": "m", "prompt": "x"})).status == 500
    assert (await api.post("/api/embeddings", {"prompt": "x"})).status == 400


async def test_a_request_that_cannot_be_served_keeps_its_text(api: Api) -> None:
    api.inference.embeddings = BadRequestError("the input length exceeds the context length")
    answer = await api.post("/api/embed", {"model": "m", "input": "x"})
    assert (answer.status, answer.body) == (400, b'{"error":"the input length exceeds the context length"}')
