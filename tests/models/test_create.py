"""Creating models: status lines, layers, digests and refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pollama.errors import BadRequestError, InvalidNameError, PollamaError, StoreError
from pollama.models.create import remote_url
from pollama.models.library import ModelLibrary
from pollama.types.library import CreateRequest
from pollama.types.messages import Message
from tests.models.fixtures import PlainInspector, create, digest_of, import_gguf, steps, upload, write_gguf


def manifest_of(root: Path, name: str = "library/m/latest") -> Any:
    return json.loads((root / "manifests" / "registry.ollama.ai" / name).read_bytes())


def layers_of(root: Path, name: str = "library/m/latest") -> list[tuple[str, str]]:
    """Return kind and digest of each layer."""
    return [(layer["mediaType"].rpartition(".")[2], layer["digest"]) for layer in manifest_of(root, name)["layers"]]


def blob(root: Path, digest: str) -> bytes:
    return (root / "blobs" / digest.replace(":", "-")).read_bytes()


async def test_from_a_file(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await upload(library, weights.read_bytes())
    assert await create(library, "m", files={"base.gguf": digest}) == [
        "parsing GGUF",
        "verifying conversion",
        f"using existing layer {digest}",
        "writing manifest",
        "success",
    ]
    config = blob(root, manifest_of(root)["config"]["digest"])
    assert config == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"4K",'
        b'"file_type":"F16","architecture":"amd64","os":"linux"}\n'
    )
    assert layers_of(root) == [("model", digest)]


async def test_the_config_of_a_minimal_file_has_ollamas_digest(
    library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    await import_gguf(library, write_gguf(tmp_path / "t.gguf", "test", {}, {}), "m")
    assert manifest_of(root)["config"]["digest"] == (
        "sha256:99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"
    )


async def test_texts_become_layers_with_ollamas_digests(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    conversation = [("assistant", "What is my purpose?"), ("user", "You run tests."), ("assistant", "Oh, my god.")]
    await create(
        library,
        "m",
        source="base",
        template="{{ .Prompt }}",
        system="Say hi!",
        licenses=["MIT"],
        parameters={"top_k": 10, "temperature": 1.0, "stop": ["USER:", "ASSISTANT:"]},
        messages=[Message(role=role, content=content) for role, content in conversation],
    )
    assert layers_of(root) == [
        ("model", digest),
        ("template", "sha256:b507b9c2f6ca642bffcd06665ea7c91f235fd32daeefdf875a0f938db05fb315"),
        ("system", "sha256:f29e82a8284dbdf5910b1555580ff60b04238b8da9d5e51159ada67a4d0d5851"),
        ("license", "sha256:e5dcffe836b6ec8a58e492419b550e65fb8cbdc308503979e5dacb33ac7ea3b7"),
        ("params", "sha256:1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37"),
        ("messages", "sha256:298baeaf6928a60cf666d88d64a1ba606feb43a2865687c39e40652e407bffc4"),
    ]
    assert manifest_of(root)["layers"][0]["from"] == "base:latest"


async def test_what_is_inherited_and_what_is_replaced(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    await create(
        library,
        "parent",
        source="base",
        template="old",
        system="old",
        licenses=["one"],
        parameters={"top_k": 1, "stop": ["a", "b"]},
        messages=[Message(role="user", content="old")],
        renderer="r",
        requires="0.9.0",
    )
    await create(
        library,
        "m",
        source="parent",
        template="new",
        licenses=["two"],
        parameters={"stop": ["c"]},
        messages=[Message(role="user", content="new")],
        parser="p",
    )
    model = (await library.resolve("m")).stored
    assert (model.template, model.system, model.licenses) == ("new", "old", ("one", "two"))
    assert model.parameters == {"top_k": 1, "stop": ["c"]}
    assert model.messages == (Message(role="user", content="new"),)
    assert (model.config.renderer, model.config.parser, model.config.requires) == ("r", "p", "0.9.0")
    assert model.parent == "parent:latest"


async def test_status_says_whether_a_layer_was_there(library: ModelLibrary, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    system = digest_of(b"Twice.")
    first = await create(library, "m", source="base", system="Twice.")
    again = await create(library, "m", source="base", system="Twice.")
    assert first == [
        f"using existing layer {digest}",
        f"creating new layer {system}",
        "writing manifest",
        "success",
    ]
    assert again[1] == f"using existing layer {system}"


async def test_a_replaced_model_takes_its_own_blobs_along(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    await create(library, "other", source="base", licenses=["shared"])
    await create(library, "m", source="base", system="only mine", licenses=["shared"])
    await create(library, "m", source="base")
    names = {path.name for path in (root / "blobs").iterdir()}
    assert digest_of(b"only mine").replace(":", "-") not in names
    assert digest_of(b"shared").replace(":", "-") in names


async def test_no_prune_keeps_them(root: Path, inspector: PlainInspector, weights: Path) -> None:
    library = ModelLibrary(root, inspector)
    await library.open(prune=False)
    await import_gguf(library, weights)
    await create(library, "m", source="base", system="only mine")
    await create(library, "m", source="base")
    assert (root / "blobs" / digest_of(b"only mine").replace(":", "-")).exists()


async def test_a_known_chat_template_brings_its_go_template(
    library: ModelLibrary, inspector: PlainInspector, root: Path, tmp_path: Path
) -> None:
    inspector.known["{{ jinja }}"] = ("phi-3", "{{ .Prompt }}", ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"])
    path = write_gguf(tmp_path / "t.gguf", "llama", {"tokenizer.chat_template": "{{ jinja }}"}, {})
    digest = await upload(library, path.read_bytes())
    lines = await create(library, "m", files={"t.gguf": digest})
    assert lines[3] == "using autodetected template phi-3"
    assert layers_of(root)[1:] == [
        ("template", "sha256:b507b9c2f6ca642bffcd06665ea7c91f235fd32daeefdf875a0f938db05fb315"),
        ("params", "sha256:0d79f567714c62c048378f2107fb332dabee0135d080c302d884317da9433cc5"),
    ]


async def test_architectures_with_a_built_in_format(library: ModelLibrary, tmp_path: Path) -> None:
    await import_gguf(library, write_gguf(tmp_path / "g.gguf", "gemma4", {}, {}), "g")
    stored = (await library.resolve("g")).stored
    assert (stored.config.renderer, stored.config.parser, stored.parameters) == (
        "gemma4",
        "gemma4",
        {"stop": ["<turn|>"]},
    )


async def test_projectors_and_adapters_become_their_own_layers(
    library: ModelLibrary, root: Path, weights: Path, tmp_path: Path
) -> None:
    projector = write_gguf(tmp_path / "p.gguf", "clip", {"clip.has_vision_encoder": True}, {"v.patch.weight": (2, 32)})
    adapter = write_gguf(tmp_path / "a.gguf", "llama", {"general.type": "adapter"}, {"x.lora_a": (2, 32)})
    files = {path.name: await upload(library, path.read_bytes()) for path in (weights, projector)}
    await create(library, "m", files=files, adapters={"a.gguf": await upload(library, adapter.read_bytes())})
    assert [kind for kind, _ in layers_of(root)] == ["model", "projector", "adapter"]
    stored = (await library.resolve("m")).stored
    assert len(stored.projectors) == len(stored.adapters) == 1
    assert stored.config.model_families == ("llama",)


async def test_a_stub_of_a_remote_model(library: ModelLibrary, root: Path) -> None:
    assert await create(library, "m", source="gpt-oss:20b-cloud") == ["writing manifest", "success"]
    assert manifest_of(root)["layers"] is None
    config = (await library.resolve("m")).stored.config
    assert (config.remote_host, config.remote_model) == ("https://ollama.com:443", "gpt-oss:20b")
    with pytest.raises(PollamaError, match="model 'm:local' not found"):
        await library.resolve("m:local")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.com", "http://example.com:11434"),
        ("ollama.com", "https://ollama.com:443"),
        ("https://h", "https://h:443"),
        ("/path", "http://localhost:11434/path"),
    ],
)
def test_remote_hosts(text: str, url: str) -> None:
    assert remote_url(text) == url


async def test_info_is_laid_over_the_config(library: ModelLibrary, weights: Path) -> None:
    await import_gguf(library, weights)
    info = {"capabilities": ["vision"], "parameter_size": "9B", "quantization_level": "X1", "context_length": 77.0}
    await create(library, "m", source="base", info=info)
    config = (await library.resolve("m")).stored.config
    assert config.capabilities == ("vision",)
    assert (config.model_type, config.file_type, config.context_length) == ("9B", "X1", 77)


async def test_the_same_type_is_no_quantization(library: ModelLibrary, weights: Path) -> None:
    await import_gguf(library, weights)
    assert (await create(library, "m", source="base", quantize="f16"))[-1] == "success"


NONSENSE = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "a b"}, InvalidNameError("a b")),
        ({}, BadRequestError("neither 'from' or 'files' was specified")),
        ({"source": "a b"}, InvalidNameError("a b")),
        ({"files": {}}, BadRequestError("unknown type")),
        ({"files": {"x.gguf": "nonsense"}}, BadRequestError("invalid digest format")),
        ({"files": {"x.gguf": NONSENSE}}, StoreError(f"blob {NONSENSE} is missing")),
        ({"source": "base", "template": "{{ if"}, BadRequestError("template error: template: :1: unclosed action")),
        ({"source": "base", "adapters": {"a.gguf": NONSENSE}}, StoreError(f"blob {NONSENSE} is missing")),
        ({"source": "base", "info": {"base_name": 9}}, BadRequestError('"base_name" must be a string')),
        ({"source": "base", "info": {"context_length": "x"}}, BadRequestError('"context_length" must be a number')),
        ({"source": "base", "info": {"context_length": -1}}, BadRequestError("must be a non-negative integer")),
        ({"source": "base", "quantize": "q9_9"}, PollamaError("unsupported quantization type Q9_9 - supported types")),
        ({"source": "x", "remote_host": "a b"}, BadRequestError("bad remote")),
        ({"source": "x", "remote_host": "h", "draft_files": {"d": NONSENSE}}, BadRequestError("DRAFT cannot be used")),
    ],
)
async def test_refusals_leave_no_model(
    library: ModelLibrary, root: Path, weights: Path, fields: dict[str, Any], expected: PollamaError
) -> None:
    await import_gguf(library, weights)
    with pytest.raises(type(expected)) as caught:
        await steps(library, CreateRequest(**{"model": "m", **fields}))
    assert str(expected) in str(caught.value)
    assert not (root / "manifests/registry.ollama.ai/library/m").exists()


@pytest.mark.parametrize(
    ("file_type", "field", "reason"),
    [
        (15, "quantize", "quantization is only supported for F16, BF16 and F32 models"),
        (15, "draft_quantize", "draft quantization requires an unquantized draft model, got Q4_K_M"),
        (1, "quantize", "quantization to Q8_0 failed: .*key not found in model"),
    ],
)
async def test_weights_that_cannot_be_quantized(
    library: ModelLibrary, tmp_path: Path, file_type: int, field: str, reason: str
) -> None:
    path = write_gguf(tmp_path / "q.gguf", "llama", {"general.file_type": file_type}, {})
    digest = await upload(library, path.read_bytes())
    drafts = {"draft_files": {"d.gguf": digest}} if field == "draft_quantize" else {}
    with pytest.raises(PollamaError, match=reason):
        await create(library, "m", files={"q.gguf": digest}, **drafts, **{field: "q8_0"})


async def test_a_draft_model_becomes_a_layer(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    await create(library, "m", source="base", draft_files={"d.gguf": digest})
    assert [kind for kind, _ in layers_of(root)] == ["model", "draft"]
    stored = (await library.resolve("m")).stored
    assert stored.draft == stored.weights
    assert f"DRAFT {stored.draft}\n" in (await library.describe("m")).modelfile


async def test_a_file_that_is_no_gguf(library: ModelLibrary) -> None:
    digest = await upload(library, b"hello")
    with pytest.raises(BadRequestError, match="supplied file was not in GGUF format"):
        await create(library, "m", files={"x.gguf": digest})
    with pytest.raises(BadRequestError, match="unknown type"):
        await create(library, "m", files={"x": digest})


async def test_unknown_parameters_and_roles_are_kept(library: ModelLibrary, weights: Path) -> None:
    await import_gguf(library, weights)
    await create(
        library, "m", source="base", parameters={"nonsense": 1}, messages=[Message(role="narrator", content="a")]
    )
    stored = (await library.resolve("m")).stored
    assert stored.parameters == {"nonsense": 1}
    assert stored.messages == (Message(role="narrator", content="a"),)


async def test_manifest_bytes(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    await create(library, "m", source="base")
    data = (root / "manifests/registry.ollama.ai/library/m/latest").read_bytes()
    config = manifest_of(root)["config"]
    assert (
        data
        == (
            '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
            '"config":{"mediaType":"application/vnd.docker.container.image.v1+json",'
            f'"digest":"{config["digest"]}","size":{config["size"]}}},'
            f'"layers":[{{"mediaType":"application/vnd.ollama.image.model","digest":"{digest}",'
            f'"size":{weights.stat().st_size},"from":"base:latest"}}]}}\n'
        ).encode()
    )
    assert (await library.resolve("m")).stored.digest == hashlib.sha256(data).hexdigest()
