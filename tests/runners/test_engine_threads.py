"""The real engine beside programs that want its cores."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from benchmarks.serve.neighbour import busy_core
from pollama.runners.client import HttpRunner
from pollama.runners.llamacpp.threads import kernel_counts
from pollama.runners.process import LocalLauncher
from pollama.types.generation import EmbedJob
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan
from tests.runners.conftest import environment

CORES = tuple(sorted(os.sched_getaffinity(0)))[:2]
WORK = EmbedJob(inputs=[[5 + place % 50 for place in range(1000)]])
"""Some tens of milliseconds of computing and hardly anything else."""

pytestmark = pytest.mark.skipif(
    len(CORES) < 2 or not kernel_counts(), reason="needs two cores and a kernel that counts how long threads wait"
)


@pytest.fixture
async def runner(sockets: Path, probe_model: Path) -> AsyncIterator[HttpRunner]:
    """A runner with two threads on two cores."""
    del sockets
    plan = Plan(
        shares=(), sequences=1, context_length=1024, cells=1024, shared_cells=True, batch=512, gpu_layers=0, threads=2
    )
    spec = LoadSpec(weights=probe_model, plan=plan, options=Options(), cores=CORES)
    runner = await LocalLauncher(environment()).launch(spec)
    yield runner
    await runner.close()


@contextlib.contextmanager
def neighbours(cores: Sequence[int]) -> Iterator[None]:
    """Keep ``cores`` busy, each with a program of its own."""
    with contextlib.ExitStack() as stack:
        for core in cores:
            stack.enter_context(busy_core(core))
        yield


async def compute_until(runner: HttpRunner, threads: int) -> None:
    async with asyncio.timeout(30):
        while (await runner.status()).threads != threads:
            await runner.embed(WORK)


def cores_are_free() -> bool:
    idle = psutil.cpu_times_percent(interval=1, percpu=True)
    return all(idle[core].idle > 90 for core in CORES)


async def test_a_thread_less_beside_busy_programs_and_one_more_when_they_have_ended(runner: HttpRunner) -> None:
    with neighbours(CORES):
        await compute_until(runner, 1)
    try:
        await compute_until(runner, 2)
    except TimeoutError:
        if cores_are_free():
            raise
        pytest.skip("other programs keep the cores busy")
