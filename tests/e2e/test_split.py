"""Two devices of one core each, and models split over both: too large for one, or because it is wanted.

POLLAMA_KILLS says how often a worker is killed (default 2).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import ollama
import psutil
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.processes import RUNNER, leaks, processes, runners
from tests.e2e.server import Endpoint, Server, running_server
from tests.e2e.test_multigpu import COUNTED, KILLS, counted, refused
from tools.random_model import Spec, write_random_model

CORES = sorted(os.sched_getaffinity(0))[:2]
SEQUENCES = 16
WORKER = "pollama.runners.rpc"

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


def configure(folder: Path, memory: str) -> None:
    """Write the settings of a server whose two devices have so much memory each."""
    settings = folder / ".pollama" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"""
devices:
  cpu: [{{cores: "{CORES[0]}", memory: "{memory}"}}, {{cores: "{CORES[1]}", memory: "{memory}"}}]
multi_gpu:
  enabled: true
models:
  probe: {{strategy: pipeline}}
""")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with the probe model."""
    configure(tmp_path, "1GiB")
    with running_server(tmp_path, OLLAMA_NUM_PARALLEL=str(SEQUENCES)) as running:
        create_from_file(running, "probe", MODELS / "probe.gguf")
        yield running


def layout(server: Server) -> list[list[str]]:
    """Return on which devices the replicas of the only model are."""
    (model,) = server.json("GET", "/api/multigpu/models")["models"]
    return [[share["device"] for share in replica["plan"]["shares"]] for replica in model["replicas"]]


async def texts(server: Endpoint, strategy: str) -> list[str]:
    """Return greedy answers to several clients at once, by a layout of that strategy."""
    bodies = (
        {
            "model": "probe",
            "prompt": f"please count {number}",
            "raw": True,
            "stream": False,
            "options": {"temperature": 0, "num_predict": 24},
            "multi_gpu": {"strategy": strategy},
        }
        for number in range(SEQUENCES)
    )
    async with aiohttp.ClientSession(server.url) as session:
        return list(await asyncio.gather(*(_text(session, body) for body in bodies)))


async def _text(session: aiohttp.ClientSession, body: dict[str, Any]) -> str:
    async with session.post("/api/generate", json=body) as answer:
        return str((await answer.json())["response"])


async def test_every_layout_says_the_same(server: Server) -> None:
    expected = await texts(server, "data")
    assert all(len(devices) == 1 for devices in await asyncio.to_thread(layout, server))
    assert await texts(server, "tensor") == expected, "one engine on the cores of both devices"
    assert await texts(server, "pipeline") == expected
    assert len(set(expected)) > 1
    assert sorted((await asyncio.to_thread(layout, server))[-1]) == [f"cpu:{core}" for core in CORES]


def test_a_model_too_large_for_one_device_is_split(tmp_path: Path) -> None:
    weights = tmp_path / "large.gguf"
    write_random_model(weights, Spec(layers=8, width=512, heads=8, ffn=4096, quant="q8_0"))
    configure(tmp_path, "72MiB")
    with running_server(tmp_path) as server:
        create_from_file(server, "large", weights)
        body = {"model": "large", "prompt": "a text", "raw": True, "stream": False, "options": {"num_predict": 8}}
        assert server.json("POST", "/api/generate", body)["eval_count"] == 8
        assert [sorted(devices) for devices in layout(server)] == [[f"cpu:{core}" for core in CORES]]


async def only_pair(server: Server) -> dict[str, psutil.Process]:
    """Return the worker and the runner by their modules, when no others are on their way out any more."""
    while True:
        found = {WORKER: processes(server, WORKER), RUNNER: runners(server)}
        if all(len(those) == 1 for those in found.values()):
            return {module: those[0] for module, those in found.items()}
        await asyncio.sleep(0.05)


@pytest.mark.timeout(60 + 20 * KILLS)
@pytest.mark.parametrize("victim", [WORKER, RUNNER])
async def test_requests_of_a_killed_split_fail_and_the_next_one_is_served(server: Server, victim: str) -> None:
    assert await counted(server) == COUNTED
    head = psutil.Process(server.process.pid)
    files = head.num_fds()
    async with ollama.AsyncClient(server.url) as client:
        for _ in range(KILLS):
            assert await counted(server) == COUNTED
            pair = await only_pair(server)
            started = [asyncio.Event() for _ in range(3)]
            streams = [asyncio.create_task(refused(client, event)) for event in started]
            await asyncio.gather(*(event.wait() for event in started))
            pair[victim].send_signal(signal.SIGKILL)
            for error in await asyncio.gather(*streams):
                assert "model runner has unexpectedly stopped" in error
                assert ("the worker of device cpu:" in error) == (victim == WORKER)
            await asyncio.to_thread(psutil.wait_procs, list(pair.values()))
        assert await counted(server) == COUNTED
        await only_pair(server)
    assert not leaks(head, files, KILLS)
