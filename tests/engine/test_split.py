"""A model split by layers over device workers says what it says on one device."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import psutil
import pytest

from pollama.errors import LoadError, RunnerDiedError
from pollama.runners.client import HttpRunner
from pollama.runners.process import LocalLauncher
from pollama.types.generation import Delta
from pollama.types.plans import LoadSpec, Stage, Worker
from tests.engine.conftest import RandomModel
from tests.engine.support import greedy, spec_of

Launch = Callable[[LoadSpec], Coroutine[Any, Any, HttpRunner]]
PROMPTS = ["please count", "Once upon a time", "The capital", "short short"]
LAYERS = 6


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """Starts runners; ends them when the test does."""
    launcher = LocalLauncher({**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    runners: list[HttpRunner] = []

    async def one(spec: LoadSpec) -> HttpRunner:
        runners.append(await launcher.launch(spec))
        return runners[-1]

    yield one
    for runner in runners:
        await runner.close()


def workers(*layers: int) -> tuple[Stage, ...]:
    """Return stages of so many layers, each in a worker."""
    return tuple(
        Stage(engine_device="CPU", layers=count, worker=Worker(device=f"cpu:{index}"))
        for index, count in enumerate(layers)
    )


async def texts(runner: HttpRunner, count: int) -> list[str]:
    """Return ``count`` greedy answers, produced side by side."""

    async def one(number: int) -> str:
        job = greedy(f"{PROMPTS[number % len(PROMPTS)]} {number}", max_tokens=24)
        return "".join([item.text async for item in runner.generate(job) if isinstance(item, Delta)])

    return await asyncio.gather(*(one(number) for number in range(count)))


@pytest.mark.parametrize(("sequences", "shared"), [(4, True), (16, False)])
async def test_every_layout_gives_the_same_greedy_texts(
    random_model: RandomModel, launch: Launch, sequences: int, *, shared: bool
) -> None:
    model = random_model("llama", layers=LAYERS, quant="q8_0")
    spec = spec_of(model, sequences=sequences, context=128, shared=shared)
    expected = await texts(await launch(spec), sequences)
    assert len(set(expected)) > 1
    for stages in (workers(3), workers(LAYERS - 1, 2), workers(1, 2, 1)):
        assert await texts(await launch(replace(spec, stages=stages)), sequences) == expected


async def test_two_splits_over_the_same_cores_take_turns(random_model: RandomModel, launch: Launch) -> None:
    core = min(os.sched_getaffinity(0))
    model = random_model("llama", layers=LAYERS, quant="q8_0")
    spec = replace(spec_of(model, context=128), cores=(core,), stages=workers(3))
    first, second = await asyncio.gather(launch(spec), launch(spec))
    alone = await texts(first, 4)
    assert list(await asyncio.gather(texts(first, 4), texts(second, 4))) == [alone, alone]


async def test_each_stage_gets_exactly_its_layers(random_model: RandomModel, launch: Launch) -> None:
    model = random_model("llama", layers=12, width=128, ffn=512)
    block = _bytes_of(model, "blk.0.")
    for layers in ((1, 3, 8), (5, 2, 3), (7, 1, 5)):
        runner = await launch(replace(spec_of(model, sequences=1), stages=workers(*layers)))
        held = {use.device: use.weights / block for use in runner.info.buffers}
        output = (_bytes_of(model, "output_norm") + _bytes_of(model, "token_embd")) / block
        expected = [layers[0], layers[1], layers[2] - 1 + output]
        assert [held[f"cpu:{index}"] for index in range(3)] == pytest.approx(expected, abs=0.05)
        await runner.close()


def _bytes_of(model: Path, prefix: str) -> int:
    return sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(model).tensors if tensor.name.startswith(prefix))


async def test_the_time_of_each_stage_is_known(random_model: RandomModel, launch: Launch) -> None:
    model = random_model("llama", layers=8, width=512, ffn=2048)
    runner = await launch(replace(spec_of(model, sequences=1), stages=workers(5)))
    await texts(runner, 8)
    status = await runner.status()
    (use,) = status.workers
    assert use.device == "cpu:0"
    assert 0 < use.busy_seconds < status.busy_seconds
    assert 0 < status.computing_seconds < status.busy_seconds


async def test_a_tensor_split_is_refused_over_workers(probe_model: Path, launch: Launch) -> None:
    spec = spec_of(probe_model)
    spec = replace(spec, plan=replace(spec.plan, split="tensor"), stages=workers(1, 1))
    with pytest.raises(LoadError, match="a tensor split takes devices of one process, cpu:0, cpu:1 would need another"):
        await launch(spec)


async def test_an_unknown_device_of_a_worker_is_named(probe_model: Path, launch: Launch) -> None:
    stage = Stage(engine_device="ROCm3", layers=1, worker=Worker(device="GPU-7"))
    with pytest.raises(LoadError, match=r"the worker of device GPU-7 has ended: .*the engine has no device 'ROCm3'"):
        await launch(replace(spec_of(probe_model), stages=(*workers(1), stage)))


async def test_a_worker_killed_under_load_is_named_to_its_clients(probe_model: Path, launch: Launch) -> None:
    runner = await launch(replace(spec_of(probe_model), stages=workers(2)))
    streams = [runner.generate(greedy("please spin", max_tokens=-1)) for _ in range(3)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    (worker,) = (child for child in psutil.Process().children() if "pollama.runners.rpc" in child.cmdline())
    worker.kill()
    for stream in streams:
        with pytest.raises(RunnerDiedError, match="the worker of device cpu:0 has ended: signal: killed"):
            async for _ in stream:
                pass
