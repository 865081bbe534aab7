"""Quantising while creating, through llama.cpp itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gguf import GGUFReader

from pollama.errors import PollamaError
from pollama.models.gguf import read_header
from pollama.models.library import ModelLibrary
from pollama.models.quantization import needed_type
from pollama.types.library import CreateRequest
from tests.models.fixtures import LLAMA_KEYS, create, import_gguf, upload, write_gguf
from tools.random_model import Spec, write_random_model


async def test_weights_are_quantized(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    lines = await create(library, "m", source="base", quantize="q8_0", system="s")
    assert lines[0] == "verifying conversion"  # what takes no time tells nothing of its progress, as in Ollama
    assert lines[1].startswith("creating new layer sha256:")
    stored = (await library.resolve("m")).stored
    assert (stored.config.file_type, stored.config.model_type, stored.parent) == ("Q8_0", "4K", "")
    assert stored.weights is not None
    assert {tensor.type for tensor in read_header(stored.weights).tensors} == {"Q8_0"}
    assert all(path.name.startswith("sha256-") for path in (root / "blobs").iterdir())
    assert stored.weights.stat().st_mode & 0o777 == 0o644


async def test_a_draft_is_quantized(library: ModelLibrary, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    await create(library, "m", source="base", draft_files={"d.gguf": digest}, draft_quantize="Q8_0")
    stored = (await library.resolve("m")).stored
    assert stored.spec is not None
    assert stored.spec.file_type == "F16"
    assert stored.draft is not None
    assert read_header(stored.draft).values["general.file_type"] == 7


async def test_what_llama_cpp_refuses_is_told_and_leaves_nothing(
    library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    digest = await upload(library, write_gguf(tmp_path / "x.gguf", "unheard-of").read_bytes())
    with pytest.raises(PollamaError, match=r"quantization to Q8_0 failed: .*unheard-of"):
        await create(library, "m", files={"x.gguf": digest}, quantize="q8_0")
    assert [path.name for path in (root / "blobs").iterdir()] == [digest.replace(":", "-")]


async def test_a_quantization_that_is_given_up_leaves_nothing(
    library: ModelLibrary, root: Path, tmp_path: Path
) -> None:
    """The process reports from time to time while it works on many tensors; the client goes away at the first one."""
    tensors = {f"blk.{block}.attn_k.weight": (2048, 2048) for block in range(32)}
    keys = {**LLAMA_KEYS, "llama.block_count": 32, "llama.embedding_length": 2048}
    digest = await import_gguf(library, write_gguf(tmp_path / "x.gguf", keys=keys, tensors=tensors))
    steps = library.create(CreateRequest(model="m", source="base", quantize="q4_k_m"))
    first = await anext(steps)
    await steps.aclose()
    assert first.status == "quantizing F16 model to Q4_K_M"
    assert 0 < first.completed < first.total
    assert all(path.name.startswith("sha256-") for path in (root / "blobs").iterdir())
    assert not (root / "manifests/registry.ollama.ai/library/m").exists()
    assert await library.has_blob(digest)
    assert not _children()


BY_LLAMA_CPP = """
import ctypes
import sys
import llama_cpp
source, target, kind = sys.argv[1:]
llama_cpp.llama_backend_init()
parameters = llama_cpp.llama_model_quantize_default_params()
parameters.ftype = int(kind)
parameters.allow_requantize = True
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)))
"""
"""What llama.cpp's llama-quantize does with ``--allow-requantize``."""


@pytest.mark.parametrize(("wish", "number"), [("q4_k_m", 15), ("q4_k_s", 14), ("q8_0", 7), ("bf16", 32)])
async def test_weights_are_those_that_llama_cpp_makes(
    library: ModelLibrary, tmp_path: Path, wish: str, number: int
) -> None:
    source, expected = tmp_path / "source.gguf", tmp_path / "expected.gguf"
    write_random_model(source, Spec(layers=4, width=256, ffn=512, quant="f16"))
    await import_gguf(library, source)
    await create(library, "m", source="base", quantize=wish)
    command = [sys.executable, "-c", BY_LLAMA_CPP, str(source), str(expected), str(number)]
    subprocess.run(command, check=True, capture_output=True)
    made = (await library.resolve("m")).stored.weights
    assert made is not None
    assert _tensors(made) == _tensors(expected)
    assert read_header(made).values == read_header(expected).values


def _tensors(path: Path) -> dict[str, tuple[object, bytes]]:
    return {tensor.name: (tensor.tensor_type, tensor.data.tobytes()) for tensor in GGUFReader(path).tensors}


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.mark.parametrize(
    ("wish", "given", "needed"),
    [("", 15, ""), ("f16", 1, ""), ("q4_k", 1, "Q4_K_M"), ("Q8_0", 32, "Q8_0"), ("f32", 1, "F32")],
)
def test_the_type_that_is_needed(tmp_path: Path, wish: str, given: int, needed: str) -> None:
    header = read_header(write_gguf(tmp_path / "x.gguf", "x", {"general.file_type": given}, {}))
    assert needed_type(header, wish) == needed
