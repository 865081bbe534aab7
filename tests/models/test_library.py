"""Resolving, listing, describing, copying and deleting models, and what happens when the store is damaged."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pollama.errors import (
    BadRequestError,
    InvalidNameError,
    ModelNotFoundError,
    NameRequiredError,
    PollamaError,
    StoreError,
    WeightsError,
)
from pollama.models.library import ModelLibrary
from pollama.types.messages import Message
from tests.models.fixtures import PlainInspector, create, digest_of, import_gguf, write_gguf


def manifest_path(root: Path, name: str = "library/base/latest") -> Path:
    return root / "manifests" / "registry.ollama.ai" / name


def blob_path(root: Path, digest: str) -> Path:
    return root / "blobs" / digest.replace(":", "-")


def layer_path(root: Path, kind: str, name: str = "library/base/latest") -> Path:
    """Return the blob of the first layer of a kind, or of the config."""
    manifest = json.loads(manifest_path(root, name).read_bytes())
    for layer in [*manifest["layers"], manifest["config"]]:
        if layer["mediaType"].rpartition(".")[2].startswith(kind):
            return blob_path(root, layer["digest"])
    raise LookupError(kind)


TOO_LONG = f"{'h' * 300}/n/m"
"""A name of a model, but not of a file."""
ALIASES = ("base", "BASE:Latest", "library/base", "registry.ollama.ai/library/base:latest", "base:local")


@pytest.mark.parametrize("name", ALIASES)
async def test_resolve_knows_a_model_by_all_its_names(library: ModelLibrary, weights: Path, name: str) -> None:
    await import_gguf(library, weights)
    stored = (await library.resolve(name)).stored
    assert stored.name == "registry.ollama.ai/library/base:latest"
    assert stored.short_name == "base:latest"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", NameRequiredError()),
        (" ", NameRequiredError()),
        ("a b", InvalidNameError("a b")),
        ("nope", ModelNotFoundError("nope")),
        (TOO_LONG, ModelNotFoundError(TOO_LONG)),
        ("base:cloud", ModelNotFoundError("base:cloud")),
        ("base:cloud:local", BadRequestError('use either :local or :cloud, not both: "base:cloud:local"')),
    ],
)
async def test_names_that_stand_for_nothing(
    library: ModelLibrary, weights: Path, name: str, expected: PollamaError
) -> None:
    await import_gguf(library, weights)
    with pytest.raises(type(expected)) as caught:
        await library.resolve(name)
    assert str(caught.value) == str(expected)


def test_a_name_says_whether_the_cloud_is_meant(library: ModelLibrary) -> None:
    assert library.asks_for_cloud("m:20b-cloud")
    assert not library.asks_for_cloud("m-cloud")
    with pytest.raises(InvalidNameError):
        library.asks_for_cloud("a b")


async def test_a_model_is_read_once_until_it_changes(
    library: ModelLibrary, inspector: PlainInspector, weights: Path
) -> None:
    await import_gguf(library, weights)
    first, *others = await asyncio.gather(*(library.resolve("base") for _ in range(20)))
    assert all(other is first for other in others)
    assert inspector.inspected == ["registry.ollama.ai/library/base:latest"]
    await create(library, "base", source="base", system="new")
    assert (await library.resolve("base")).stored.system == "new"


async def test_a_cancelled_reader_does_not_spoil_the_others(library: ModelLibrary, weights: Path) -> None:
    await import_gguf(library, weights)
    first = asyncio.create_task(library.resolve("base"))
    second = asyncio.create_task(library.resolve("base"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).stored.short_name == "base:latest"


async def test_a_store_written_elsewhere(library: ModelLibrary, root: Path, weights: Path) -> None:
    """Old media types, other spacing, unknown fields and layers, no config, null values."""
    digest, prompt = digest_of(weights.read_bytes()), b"{{ .Prompt }}!"
    blob_path(root, digest).write_bytes(weights.read_bytes())
    blob_path(root, digest_of(prompt)).write_bytes(prompt)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 5, "from": None, "new": 1},
        {"mediaType": "application/vnd.ollama.image.prompt", "digest": digest_of(prompt), "size": 7},
        {"mediaType": "application/vnd.unheard.of", "digest": digest_of(b"absent"), "size": 1},
    ]
    path = root / "manifests/hf.co/User/Repo.GGUF/Q4_K_M"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers, "config": None, "annotations": {}}, indent=2))
    stored = (await library.resolve("hf.co/user/repo.gguf:q4_k_m")).stored
    assert stored.short_name == "hf.co/User/Repo.GGUF:Q4_K_M"
    assert (stored.template, stored.size) == (prompt.decode(), 13)
    assert stored.spec is not None


DAMAGES: dict[str, tuple[Callable[[Path], object], PollamaError]] = {
    "manifest cut off": (lambda root: manifest_path(root).write_text("{"), StoreError("latest is damaged: Input data")),
    "manifest of another type": (
        lambda root: manifest_path(root).write_text("[]"),
        StoreError("is damaged: Expected `object`, got `array`"),
    ),
    "manifest field": (
        lambda root: manifest_path(root).write_text('{"layers":[{"digest":5}]}'),
        StoreError("is damaged: Expected `str`, got `int` - at `$.layers[0].digest`"),
    ),
    "config": (lambda root: layer_path(root, "v1").write_text("x"), StoreError("is damaged: JSON is malformed")),
    "config field": (lambda root: layer_path(root, "v1").write_text('{"parser":1}'), StoreError("at `$.parser`")),
    "no config": (lambda root: layer_path(root, "v1").unlink(), StoreError("no such file or directory")),
    "parameters": (
        lambda root: layer_path(root, "params").write_text("[1]"),
        StoreError("(application/vnd.ollama.image.params) is damaged"),
    ),
    "messages": (
        lambda root: layer_path(root, "messages").write_text('[{"role":1}]'),
        StoreError("role and content must be texts"),
    ),
    "no system": (lambda root: layer_path(root, "system").unlink(), StoreError("is missing")),
    "no weights": (lambda root: layer_path(root, "model").unlink(), StoreError("is missing")),
    "weights cut off": (lambda root: os.truncate(layer_path(root, "model"), 2000), WeightsError("it is truncated")),
    "other weights": (lambda root: layer_path(root, "model").write_text("x" * 99), WeightsError("not a GGUF file")),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_named_and_the_model_can_be_deleted(
    library: ModelLibrary, root: Path, weights: Path, damage: str
) -> None:
    await import_gguf(library, weights)
    texts = {"system": "s", "parameters": {"seed": 1}, "messages": [Message(role="user", content="hi")]}
    await create(library, "base", source="base", **texts)
    break_it, expected = DAMAGES[damage]
    break_it(root)
    with pytest.raises(type(expected)) as caught:
        await library.resolve("base")
    assert str(expected) in str(caught.value)
    assert str(root) in str(caught.value) or "sha256:" in str(caught.value)
    await library.list()
    await library.delete("base")
    assert await library.list() == []


async def test_the_list_has_the_latest_first_and_skips_what_is_no_manifest(
    library: ModelLibrary, root: Path, weights: Path
) -> None:
    await import_gguf(library, weights)
    await library.copy("base", "user/copy:v1")
    os.utime(manifest_path(root), (1, 1))
    (root / "manifests/registry.ollama.ai/library/base/.DS_Store").write_text("x")
    (root / "manifests/registry.ollama.ai/library/base/bad").write_text("x")
    first, second = await library.list()
    assert (first.name, second.name, second.modified_at) == ("user/copy:v1", "base:latest", 1)
    assert (second.details.context_length, second.details.embedding_length) == (128, 64)
    assert (second.details.parameter_size, second.details.quantization_level) == ("4K", "F16")
    assert second.capabilities == ("completion",)


async def test_a_model_without_its_weights_is_still_listed(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    layer_path(root, "model").unlink()
    [entry] = await library.list()
    assert (entry.name, entry.details.family, entry.capabilities) == ("base:latest", "llama", ())


async def test_describe(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    await create(
        library,
        "m",
        source="base",
        template="{{ .Prompt }}\n",
        system="s",
        parameters={"num_ctx": 1048576, "stop": ["<a>", " b"], "top_p": 0.5, "use_mmap": True},
        licenses=["L"],
        messages=[Message(role="user", content="hi")],
        parser="p",
    )
    found = await library.describe("M", system="other", options={"seed": 1})
    assert found.modelfile == (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM m:latest\n\n"
        f"FROM {layer_path(root, 'model')}\n"
        'TEMPLATE "{{ .Prompt }}\n"\n'
        "SYSTEM other\n"
        "PARSER p\n"
        "PARAMETER num_ctx 1.048576e+06\n"
        "PARAMETER seed 1\n"
        "PARAMETER stop <a>\n"
        'PARAMETER stop " b"\n'
        "PARAMETER top_p 0.5\n"
        "PARAMETER use_mmap true\n"
        "LICENSE L\n"
        "MESSAGE user hi\n"
    )
    assert found.parameters.splitlines() == [
        "num_ctx                        1.048576e+06",
        'stop                           "<a>"',
        'stop                           " b"',
        "top_p                          0.5",
        "use_mmap                       true",
    ]
    assert found.template == "{{ .Prompt }}\n"
    assert found.details.parent_model == "base:latest"
    assert [tensor.name for tensor in found.tensors] == [
        "output.weight",
        "token_embd.weight",
        "blk.0.attn_k.weight",
        "blk.1.attn_k.weight",
    ]


async def test_model_info(library: ModelLibrary, weights: Path) -> None:
    await import_gguf(library, weights)
    brief = (await library.describe("base")).model_info
    assert list(brief) == sorted(brief)
    assert brief["general.parameter_count"] == 4480
    assert brief["general.quantization_version"] == 2
    assert "general.name" not in brief
    assert brief["tokenizer.ggml.tokens"] is brief["tokenizer.ggml.scores"] is None
    full = (await library.describe("base", verbose=True)).model_info
    assert full["tokenizer.ggml.tokens"] == ["a", "b", "é"]
    assert full["tokenizer.ggml.scores"] == [0.5, 0.25, 0.1]


async def test_describe_reports_the_short_name_as_missing(library: ModelLibrary) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^model 'nope:latest' not found$"):
        await library.describe("nope")


async def test_a_template_in_the_weights_is_shown(library: ModelLibrary, tmp_path: Path) -> None:
    await import_gguf(library, write_gguf(tmp_path / "t.gguf", "x", {"tokenizer.chat_template": "{{ jinja }}"}, {}))
    found = await library.describe("base")
    assert found.template == "{{ jinja }}"
    assert "TEMPLATE {{ .Prompt }}\n" in found.modelfile


async def test_copy(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    await library.copy("Base", "host.example/User/New:Tag")
    copied = root / "manifests/host.example/User/New/Tag"
    assert copied.read_bytes() == manifest_path(root).read_bytes()
    await library.copy("base", "base")
    await library.copy("base", "HOST.example/user/new:TAG")
    assert [path.name for path in (root / "manifests").glob("*/*/*/*")] == ["latest", "Tag"]


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("", "x", BadRequestError('source "" is invalid')),
        ("base", "a b", BadRequestError('destination "a b" is invalid')),
        ("nope", "x", ModelNotFoundError("nope")),
    ],
)
async def test_copies_that_cannot_be(
    library: ModelLibrary, source: str, destination: str, expected: PollamaError
) -> None:
    with pytest.raises(type(expected)) as caught:
        await library.copy(source, destination)
    assert str(caught.value) == str(expected)


async def test_delete_keeps_what_others_use(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    await create(library, "user/m", source="base", system="only mine")
    await library.delete("User/M")
    assert not (root / "manifests/registry.ollama.ai/user").exists()
    assert not blob_path(root, digest_of(b"only mine")).exists()
    assert blob_path(root, digest).exists()
    await library.delete("base")
    assert list((root / "blobs").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", NameRequiredError()),
        ("bad name", BadRequestError('name "bad name" is invalid')),
        ("nope", ModelNotFoundError("nope")),
        (TOO_LONG, ModelNotFoundError(TOO_LONG)),
        ("nope:cloud", ModelNotFoundError("nope:cloud")),
    ],
)
async def test_deletions_that_cannot_be(library: ModelLibrary, name: str, expected: PollamaError) -> None:
    with pytest.raises(type(expected)) as caught:
        await library.delete(name)
    assert str(caught.value) == str(expected)


async def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"model folder .*/file/manifests cannot be used.*Not a directory"):
        await ModelLibrary(tmp_path / "file", PlainInspector()).open()
