"""Models of the Hugging Face hub, against a stand-in that answers the requests of the real client library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gguf import GGUFReader

from pollama.errors import PollamaError
from pollama.models import media
from pollama.models.huggingface.choice import RepositoryFile, choose
from pollama.models.huggingface.hub import Hub
from pollama.models.library import ModelLibrary
from pollama.models.registry.client import RegistryAccess
from pollama.types.events import Progress
from tests.models.fixtures import LLAMA_KEYS, PlainInspector, digest_of, write_gguf, write_shards
from tests.models.hub_server import HubServer, running_hub
from tests.models.registry_store import short, statuses


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with running_hub() as running:
        yield running


@pytest.fixture
async def library(hub: HubServer, root: Path, inspector: PlainInspector) -> ModelLibrary:
    access = RegistryAccess(key=root.parent / "id_ed25519")
    library = ModelLibrary(root, inspector, access=access, hub=Hub(hub.url, "hf_mine"))
    await library.open()
    return library


async def pull(library: ModelLibrary, name: str) -> list[Progress]:
    return [step async for step in library.pull(name)]


def layers(root: Path, name: str) -> dict[str, bytes]:
    """Return the layers of a model's manifest by media type."""
    manifest = json.loads((root / "manifests" / name).read_bytes())
    blobs = root / "blobs"
    return {
        layer["mediaType"]: (blobs / layer["digest"].replace(":", "-")).read_bytes() for layer in manifest["layers"]
    }


def gguf(folder: Path, file_type: int = 15, **keys: object) -> bytes:
    path = write_gguf(folder / "made.gguf", keys={**LLAMA_KEYS, "general.file_type": file_type, **keys})
    return path.read_bytes()


def projector(folder: Path) -> bytes:
    keys = {"general.type": "mmproj", "clip.has_vision_encoder": True, "clip.projector_type": "mlp"}
    return write_gguf(folder / "mmproj.gguf", "clip", keys, {"v.patch_embd.weight": (8, 8)}).read_bytes()


async def test_a_pull_makes_a_model_of_the_default_file_and_the_projector(
    hub: HubServer, library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    weights, encoder = gguf(tmp_path), projector(tmp_path)
    hub.add(
        "me/Some-GGUF",
        {
            "README.md": b"# Some",
            "Some-Q8_0.gguf": gguf(tmp_path, 7),
            "Some-Q4_K_M.gguf": weights,
            "mmproj-Some-F32.gguf": b"not this one",
            "mmproj-Some-F16.gguf": encoder,
            "template": b"{{ .Prompt }}!",
            "system": b"Be kind.",
            "params": b'{"stop": ["<|end|>"]}',
        },
    )
    found = statuses(await pull(library, "hf.co/me/Some-GGUF"))
    assert found[:4] == [
        "pulling manifest",
        f"pulling {short(weights)}",
        f"pulling {short(encoder)}",
        "verifying sha256 digest",
    ]
    assert found[-2:] == ["writing manifest", "success"]
    assert layers(root, "hf.co/me/Some-GGUF/latest") == {
        media.MODEL: weights,
        media.PROJECTOR: encoder,
        media.TEMPLATE: b"{{ .Prompt }}!",
        media.SYSTEM: b"Be kind.",
        media.PARAMETERS: b'{"stop":["\\u003c|end|\\u003e"]}\n',
    }
    assert [entry.name for entry in await library.list()] == ["hf.co/me/Some-GGUF:latest"]
    assert (await library.resolve("hf.co/me/Some-GGUF")).stored.config.file_type == "Q4_K_M"


async def test_progress_has_digest_total_and_completed(hub: HubServer, library: ModelLibrary, tmp_path: Path) -> None:
    weights = gguf(tmp_path)
    hub.add("me/m", {"m.Q4_0.gguf": weights})
    last = [step for step in await pull(library, "huggingface.co/me/m") if step.digest == digest_of(weights)][-1]
    assert (last.total, last.completed) == (len(weights), len(weights))


async def test_only_the_hub_sees_the_token(hub: HubServer, library: ModelLibrary, tmp_path: Path) -> None:
    hub.token = "hf_mine"
    hub.add("me/private", {"m-Q4_0.gguf": gguf(tmp_path)})
    await pull(library, "hf.co/me/private")
    tokens = {(path.startswith("/cdn/"), authorization) for _, path, authorization in hub.seen}
    assert tokens == {(False, "Bearer hf_mine"), (True, "")}


async def test_a_second_pull_downloads_nothing(hub: HubServer, library: ModelLibrary, tmp_path: Path) -> None:
    hub.add("me/m", {"m-Q4_0.gguf": gguf(tmp_path)})
    await pull(library, "hf.co/me/m")
    hub.seen.clear()
    assert (await pull(library, "hf.co/me/m"))[-1].status == "success"
    assert not [path for path in hub.paths("GET") if path.startswith("/cdn/")]


async def test_a_broken_download_goes_on_where_it_was(hub: HubServer, library: ModelLibrary, tmp_path: Path) -> None:
    weights = gguf(tmp_path)
    hub.add("me/m", {"m-Q4_0.gguf": weights})
    hub.fail_after = 1000
    assert (await pull(library, "hf.co/me/m"))[-1].status == "success"
    assert len([path for path in hub.paths("GET") if path.startswith("/cdn/")]) == 2


async def test_downloaded_shards_become_one_file_and_leave_nothing_behind(
    hub: HubServer, library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    shards = write_shards(tmp_path)
    hub.add("me/big", {f"Q8_0/{name}": data for name, data in shards.items()})
    await pull(library, "hf.co/me/big:q8_0")
    weights = layers(root, "hf.co/me/big/q8_0")[media.MODEL]
    (tmp_path / "joined.gguf").write_bytes(weights)
    names = [tensor.name for tensor in GGUFReader(tmp_path / "joined.gguf").tensors]
    assert names == [f"blk.{block}.attn_k.weight" for block in range(5)]
    stored = {path.name.replace("-", ":") for path in (root / "blobs").iterdir()}
    assert not stored & {digest_of(data) for data in shards.values()}
    assert len(stored) == 3  # the weights, the config and a note of the shards


async def test_a_second_pull_of_a_split_model_downloads_nothing(
    hub: HubServer, library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    shards = write_shards(tmp_path)
    hub.add("me/big", {**shards, "system": b"Be kind."})
    await pull(library, "hf.co/me/big")
    before = layers(root, "hf.co/me/big/latest")
    hub.seen.clear()
    hub.add("me/big", {**shards, "system": b"Be brief."})
    assert (await pull(library, "hf.co/me/big"))[-1].status == "success"
    assert not [path for path in hub.paths("GET") if path.startswith("/cdn/")]
    assert layers(root, "hf.co/me/big/latest") == {**before, media.SYSTEM: b"Be brief."}


async def test_a_split_model_that_has_changed_is_downloaded_again(
    hub: HubServer, library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    shards = write_shards(tmp_path)
    hub.add("me/big", shards)
    await pull(library, "hf.co/me/big")
    before = layers(root, "hf.co/me/big/latest")[media.MODEL]
    last = list(shards)[-1]
    hub.add("me/big", {**shards, last: shards[last][:-64] + b"?" * 64})
    await pull(library, "hf.co/me/big")
    after = layers(root, "hf.co/me/big/latest")[media.MODEL]
    assert len(after) == len(before)
    assert after != before


async def test_a_gated_repository(hub: HubServer, library: ModelLibrary, root: Path, tmp_path: Path) -> None:
    hub.add("meta/llama", {"m-Q4_0.gguf": gguf(tmp_path)})
    hub.gated.add("meta/llama")
    text = f"pull model manifest: {hub.url}/meta/llama is gated: ask for access on that page, then set HF_TOKEN"
    with pytest.raises(PollamaError, match=f"^{re.escape(text)}"):
        await pull(library, "hf.co/meta/llama")
    assert not list((root / "blobs").iterdir())


@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_missing_repository(hub: HubServer, root: Path, inspector: PlainInspector, signed_in: bool) -> None:
    library = ModelLibrary(root, inspector, hub=Hub(hub.url, "hf_mine" if signed_in else "hf_other"))
    text = f"pull model manifest: {hub.url}/me/none does not exist, or is private"
    with pytest.raises(PollamaError, match=f"^{re.escape(text)}"):
        await pull(library, "hf.co/me/none")


async def test_a_quantisation_that_is_not_there(hub: HubServer, library: ModelLibrary) -> None:
    hub.add("me/m", {"m-Q4_0.gguf": b"", "m-Q8_0.gguf": b""})
    with pytest.raises(PollamaError, match=r'^pull model manifest: the repository has no "Q9"; it has Q4_0, Q8_0$'):
        await pull(library, "hf.co/me/m:Q9")


async def test_a_repository_without_gguf_files(hub: HubServer, library: ModelLibrary) -> None:
    hub.add("me/m", {"model.safetensors": b"", "mmproj-F16.gguf": b""})
    with pytest.raises(PollamaError, match="holds no GGUF file of a model"):
        await pull(library, "hf.co/me/m")


async def test_parameters_that_are_no_object(hub: HubServer, library: ModelLibrary, tmp_path: Path) -> None:
    hub.add("me/m", {"m-Q4_0.gguf": gguf(tmp_path), "params": b"[1]"})
    with pytest.raises(PollamaError, match=r"^file params of the repository must hold a JSON object"):
        await pull(library, "hf.co/me/m")


async def test_a_hub_that_cannot_be_reached(root: Path, inspector: PlainInspector) -> None:
    library = ModelLibrary(root, inspector, hub=Hub("http://127.0.0.1:1"))
    with pytest.raises(PollamaError, match=r"^pull model manifest: http://127\.0\.0\.1:1 cannot be reached: "):
        await pull(library, "hf.co/me/m")


async def test_a_name_that_the_hub_does_not_allow(hub: HubServer, library: ModelLibrary) -> None:
    with pytest.raises(PollamaError, match="me/a--b cannot be the name of a repository of Hugging Face"):
        await pull(library, "hf.co/me/a--b")
    assert hub.seen == []


FILES = (
    "M-BF16-00001-of-00002.gguf",
    "M-BF16-00002-of-00002.gguf",
    "M-IQ4_XS.gguf",
    "M-Q4_K_M.gguf",
    "M-Q4_K_S.gguf",
    "M-UD-Q4_K_XL.gguf",
    "M-fp16.gguf",
    "M.imatrix.gguf",
    "old/M-Q4_K_M.gguf",
    "old/special.gguf",
)


@pytest.mark.parametrize(
    ("tag", "chosen"),
    [
        ("latest", "M-Q4_K_M.gguf"),
        ("q4_k_s", "M-Q4_K_S.gguf"),
        ("Q4_K_XL", "M-UD-Q4_K_XL.gguf"),
        ("UD-Q4_K_XL", "M-UD-Q4_K_XL.gguf"),
        ("F16", "M-fp16.gguf"),
        ("bf16", "M-BF16-00001-of-00002.gguf"),
        ("m-iq4_xs.gguf", "M-IQ4_XS.gguf"),
        ("special", "old/special.gguf"),
    ],
)
def test_what_a_tag_means(tag: str, chosen: str) -> None:
    choice = choose([RepositoryFile(path=path, size=1) for path in FILES], tag)
    assert choice.weights[0].path == chosen
    assert len(choice.weights) == (2 if "of" in chosen else 1)


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["a-Q2_K.gguf", "a-Q8_0.gguf"], "a-Q8_0.gguf"),
        (["a-Q2_K.gguf", "a-Q3_K_L.gguf"], "a-Q2_K.gguf"),
        (["model.gguf"], "model.gguf"),
        (["ggml-model-q4_k_m.gguf", "ggml-model-f16.gguf"], "ggml-model-q4_k_m.gguf"),
        (["x-Q8_0-imat.gguf", "x-F32.gguf"], "x-Q8_0-imat.gguf"),
    ],
)
def test_what_no_tag_means(paths: list[str], chosen: str) -> None:
    choice = choose([RepositoryFile(path=path, size=1) for path in paths], "latest")
    assert choice.weights[0].path == chosen


def test_the_library_is_loaded_only_when_it_is_needed() -> None:
    code = "import sys, pollama.server; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
