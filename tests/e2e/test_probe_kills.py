"""`kill -9` of the engine's probe while requests are answered: nobody notices.

POLLAMA_KILLS says how often (default 2).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ollama
import psutil
import pytest

from pollama.discover.devices import DeviceReader
from tests.e2e.inside import serving_on
from tests.e2e.processes import children, leaks
from tests.e2e.server import Endpoint
from tests.e2e.test_multigpu import COUNTED, ENDLESS, ENDLESS_OPTIONS, KILLS, counted

PROBE = "tests.e2e.asked_probe"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """A server that asks the engine at every reading of its devices."""

    def reader(config: Any) -> DeviceReader:
        return DeviceReader(config, readers=(), probe=(sys.executable, "-m", PROBE))

    async with serving_on(reader, tmp_path, num_parallel=3) as running:
        yield running


async def killed_while(asking: asyncio.Task[Any]) -> bool:
    """Kill the probe that a request starts; tell whether it lived long enough for that."""
    while not asking.done():
        for probe in children(PROBE):
            probe.send_signal(signal.SIGKILL)
            return True
        await asyncio.sleep(0.005)
    return False


async def asked_with_a_dead_probe(server: Endpoint) -> Any:
    """Return what the server tells of its devices while the probe dies."""
    while True:
        asking = asyncio.create_task(asyncio.to_thread(server.json, "GET", "/api/multigpu/status"))
        was_killed = await killed_while(asking)
        status = await asking
        if was_killed:
            return status


@pytest.mark.timeout(60 + 20 * KILLS)
async def test_a_killed_probe_costs_nothing(server: Endpoint) -> None:
    async with ollama.AsyncClient(server.url) as client:
        stream: Any = await client.generate(**ENDLESS, options=ENDLESS_OPTIONS)
        await anext(stream)
        assert await counted(server) == COUNTED
        files = psutil.Process().num_fds()
        for _ in range(KILLS):
            status = await asked_with_a_dead_probe(server)
            assert [device["kind"] for device in status["devices"]] == ["cpu"]
            assert (await anext(stream)).response, "the stream goes on"
            assert await counted(server) == COUNTED
            assert children(PROBE) == []
        assert not leaks(psutil.Process(), files, KILLS)
        await stream.aclose()
