"""LoRA adapters change what a model says, exactly as llama.cpp applies them."""

from __future__ import annotations

import ctypes
from pathlib import Path

import gguf
import numpy as np
import pytest

from pollama.errors import LoadError
from pollama.runners.llamacpp.engine import Engine
from pollama.types.generation import GenerateJob
from tests.engine.conftest import OpenEngine, RandomModel
from tests.engine.reference import llama, plain_loop
from tests.engine.support import GREEDY, answer, spec_of

PROMPT = list(range(20, 60))


def write_adapter(path: Path, strength: float, width: int = 64, rank: int = 4) -> Path:
    """Write an adapter of random weights for the queries of both layers."""
    dice = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    for block in range(2):
        name = f"blk.{block}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", dice.standard_normal((rank, width)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", (dice.standard_normal((width, rank)) * strength).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def reference(model: Path, adapter: Path, count: int) -> list[int]:
    """Generate with a plain loop that applies the adapter."""
    with plain_loop(model) as loop:
        handle = llama.llama_adapter_lora_init(llama.llama_get_model(loop.context), str(adapter).encode())
        adapters = (llama.llama_adapter_lora_p_ctypes * 1)(handle)
        assert llama.llama_set_adapters_lora(loop.context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0
        return loop.generate(PROMPT, count)


async def test_an_adapter_is_applied(random_model: RandomModel, open_engine: OpenEngine, tmp_path: Path) -> None:
    model, job = random_model("llama"), GenerateJob(tokens=PROMPT, max_tokens=20, sampling=GREEDY)
    adapter = write_adapter(tmp_path / "adapter.gguf", 1.0)
    plain = await answer(open_engine(spec_of(model)), job)
    adapted = await answer(open_engine(spec_of(model, adapters=(adapter,))), job)
    assert adapted.tokens == reference(model, adapter, 20)
    assert adapted.tokens != plain.tokens


async def test_an_adapter_of_zeros_changes_nothing(
    random_model: RandomModel, open_engine: OpenEngine, tmp_path: Path
) -> None:
    model, job = random_model("llama"), GenerateJob(tokens=PROMPT, max_tokens=20, sampling=GREEDY)
    adapter = write_adapter(tmp_path / "adapter.gguf", 0.0)
    plain = await answer(open_engine(spec_of(model)), job)
    assert (await answer(open_engine(spec_of(model, adapters=(adapter,))), job)).tokens == plain.tokens


def test_an_adapter_that_does_not_fit_is_named(random_model: RandomModel, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "wide.gguf", 1.0, width=96)
    with pytest.raises(LoadError, match=r"adapter wide\.gguf: "):
        Engine.load(spec_of(random_model("llama"), adapters=(adapter,)), lambda share: None)
