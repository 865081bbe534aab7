"""Four devices on two cores, each core taken for two: replicas of layer splits, with real runners and workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ollama
import psutil
import pytest

from pollama.discover.cpu import cpu_device
from pollama.discover.devices import DeviceReader
from pollama.types.devices import Device, Telemetry
from tests.e2e.inside import serving_on
from tests.e2e.processes import RUNNER, children
from tests.e2e.server import Endpoint
from tests.e2e.test_multigpu import COUNTED, ENDLESS, ENDLESS_OPTIONS, counted
from tests.e2e.test_split import CORES, WORKER, texts

GIB = 1 << 30

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


class Shared(DeviceReader):
    """Two devices on each of two cores, which settings do not allow; so a machine with two cores has four devices."""

    async def read(self) -> list[Device]:
        machine = await asyncio.to_thread(cpu_device)
        return [
            replace(machine, id=f"cpu:{core}/{half}", cores=(core,), limit_bytes=GIB) for half in "ab" for core in CORES
        ]

    async def glance(self) -> list[Device]:
        return await self.read()

    async def telemetry(self) -> list[Telemetry]:
        return []


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """A server for two replicas of a split over two devices, with one sequence each."""
    hybrid: Any = {"gpu_strategy": "hybrid", "pipeline_size": 2, "replicas": 2, "num_parallel": 1}
    async with serving_on(Shared, tmp_path, **hybrid) as running:
        yield running


async def layout(server: Endpoint) -> list[list[str]]:
    """Return the devices of the ready replicas of the only model."""
    (model,) = (await asyncio.to_thread(server.json, "GET", "/api/multigpu/models"))["models"]
    return [replica["devices"] for replica in model["replicas"] if replica["state"] == "ready"]


def cores_of(processes: list[psutil.Process]) -> list[list[int]]:
    return [process.cpu_affinity() or [] for process in processes]


async def test_two_replicas_of_a_split_serve_side_by_side(server: Endpoint) -> None:
    async with ollama.AsyncClient(server.url) as client:
        stream: Any = await client.generate(**ENDLESS, options=ENDLESS_OPTIONS)
        await anext(stream)
        assert await counted(server) == COUNTED, "the second replica answers while the first is taken"
        replicas = await layout(server)
        assert [len(devices) for devices in replicas] == [2, 2]
        assert {device for devices in replicas for device in devices} == {
            f"cpu:{core}/{half}" for core in CORES for half in "ab"
        }
        assert (len(children(RUNNER)), len(children(WORKER))) == (2, 2), "a stage in each runner, one in each worker"
        assert all(len(cores) == 1 for cores in cores_of(children(RUNNER) + children(WORKER)))
        assert (await anext(stream)).response, "and the first one goes on"
        await stream.aclose()


async def test_replicas_of_a_split_say_the_same_as_whole_ones(server: Endpoint) -> None:
    expected = await texts(server, "data")
    assert all(len(devices) == 1 for devices in await layout(server))
    assert await texts(server, "hybrid") == expected
    assert all(len(devices) == 2 for devices in await layout(server))
