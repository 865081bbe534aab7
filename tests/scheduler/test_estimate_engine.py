"""Estimates against what the real engine allocates for small random models."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pollama.models.gguf import read_header
from pollama.models.spec import model_spec
from pollama.runners.process import LocalLauncher
from pollama.scheduler.fitting import Space
from pollama.scheduler.loading import load_spec
from pollama.scheduler.placement import place
from pollama.scheduler.policy import MIB, Policy
from pollama.types.generation import BufferUse
from pollama.types.plans import LoadSpec, Plan
from tests.scheduler.support import cpu, make_model, make_options
from tools.random_model import Spec, write_random_model

SHAPES = {
    "llama": Spec(arch="llama", layers=3, width=256, ffn=1024, vocab=4000, context=4096),
    "lfm2": Spec(arch="lfm2", layers=4, width=256, ffn=1024, vocab=4000, context=4096),
    "mamba": Spec(arch="mamba", layers=3, width=256, vocab=4000, context=4096),
    "bert": Spec(arch="bert", layers=3, width=256, ffn=1024, vocab=4000, context=2048),
}


def planned(path: Path, policy: Policy) -> LoadSpec:
    """Plan the file's model for a CPU."""
    facts = model_spec(read_header(path))
    model = make_model(spec=facts, capabilities=("completion",) if facts.pooling_type is None else ("embedding",))
    model = replace(model, stored=replace(model.stored, weights=path, size=facts.file_bytes))
    device, options = cpu(8), make_options()
    plan = place(model, options, [Space(device, device.free_bytes)], policy)
    assert isinstance(plan, Plan), plan
    return load_spec(model, options, plan, [device], policy, mapped_bytes=0)


async def allocated(spec: LoadSpec) -> BufferUse:
    """Load the model and return what the engine holds."""
    runner = await LocalLauncher(os.environ | {"OMP_WAIT_POLICY": "passive"}, threads=1).launch(spec)
    await runner.close()
    buffers = runner.info.buffers
    return BufferUse(
        device="cpu",
        weights=sum(use.weights for use in buffers),
        kv=sum(use.kv for use in buffers),
        compute=sum(use.compute for use in buffers),
    )


@pytest.mark.parametrize("arch", SHAPES)
@pytest.mark.parametrize("parallel", [1, None])
async def test_engine_takes_no_more_than_was_planned(arch: str, parallel: int | None, tmp_path: Path) -> None:
    path = tmp_path / f"{arch}.gguf"
    write_random_model(path, SHAPES[arch])
    spec = planned(path, Policy(num_parallel=parallel))
    (share,) = spec.plan.shares
    real = await allocated(spec)
    assert real.weights == pytest.approx(share.weight_bytes, abs=MIB)
    assert real.kv <= share.kv_bytes + MIB // 50
    assert real.compute <= share.compute_bytes
    if arch in {"llama", "bert"}:
        assert real.kv == pytest.approx(share.kv_bytes, abs=MIB // 50)
