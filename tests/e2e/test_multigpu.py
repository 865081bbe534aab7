"""Two devices of one core each: replicas of a model side by side, and what is left when one of them dies.

POLLAMA_KILLS says how often that is (default 2).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import ollama
import psutil
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.processes import leaks, runners
from tests.e2e.server import Endpoint, Server, running_server

CORES = sorted(os.sched_getaffinity(0))[:2]
ENDLESS = {"model": "probe", "prompt": "please spin", "raw": True, "stream": True}
ENDLESS_OPTIONS = {"temperature": 0, "num_predict": -1}
KILLS = int(os.environ.get("POLLAMA_KILLS", "2"))
COUNTED = " one two three four five six seven eight nine ten"

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with settings for two CPU devices."""
    settings = tmp_path / ".pollama" / "config.yaml"
    settings.parent.mkdir()
    settings.write_text(f"""
devices:
  cpu: [{{cores: "{CORES[0]}", memory: "1GiB"}}, {{cores: "{CORES[1]}", memory: "1GiB"}}]
multi_gpu:
  enabled: true
  strategy: data
  monitoring: {{performance_profiling: false}}
models:
  tied: {{affinity: "cpu:{CORES[1]}"}}
""")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server with one sequence per replica, and the probe model."""
    with running_server(home, OLLAMA_NUM_PARALLEL="1") as running:
        create_from_file(running, "probe", MODELS / "probe.gguf")
        yield running


def endless(client: ollama.Client) -> Iterator[ollama.GenerateResponse]:
    """Begin a stream that never ends by itself; it has its replica when this returns."""
    stream = client.generate(**ENDLESS, options=ENDLESS_OPTIONS)  # type: ignore[call-overload]
    next(stream)
    return stream  # type: ignore[no-any-return]


async def counted(server: Endpoint) -> str:
    async with ollama.AsyncClient(server.url) as client:
        stream = await client.generate("probe", "please count", raw=True, options={"temperature": 0}, stream=True)
        return "".join([record.response or "" async for record in stream])


async def refused(client: ollama.AsyncClient, started: asyncio.Event) -> str:
    """Stream until the end of the runner; return what the client is told."""

    async def stream() -> None:
        async for _ in await client.generate(**ENDLESS, options=ENDLESS_OPTIONS):  # type: ignore[call-overload]
            started.set()

    with pytest.raises(ollama.ResponseError) as caught:
        await stream()
    return str(caught.value)


async def test_replicas_on_cores_of_their_own_serve_streams_at_the_same_time(server: Server) -> None:
    with ollama.Client(server.url) as client:
        stream = endless(client)
        assert await counted(server) == COUNTED, "the second replica answers while the first is taken"
        assert sorted(runner.cpu_affinity() or [] for runner in runners(server)) == [[core] for core in CORES]
        status = server.json("GET", "/api/multigpu/status")
        assert [device["replicas"] for device in status["devices"]] == [1, 1]
        (model,) = status["models"]
        assert sorted(replica["in_use"] for replica in model["replicas"]) == [0, 1]
        assert len(server.json("GET", "/api/ps")["models"]) == 1
        stream.close()  # type: ignore[attr-defined]
    assert await asyncio.gather(*(counted(server) for _ in range(4))) == [COUNTED] * 4
    assert len(runners(server)) == 2


@pytest.mark.timeout(60 + 20 * KILLS)
async def test_a_killed_replica_takes_its_requests_with_it_and_nobody_elses(server: Server) -> None:
    assert await counted(server) == COUNTED
    head = psutil.Process(server.process.pid)
    files = head.num_fds()
    async with ollama.AsyncClient(server.url) as client:
        for number in range(KILLS):
            started = [asyncio.Event() for _ in range(2)]
            streams = [asyncio.create_task(refused(client, event)) for event in started]
            await asyncio.gather(*(event.wait() for event in started))
            runners(server)[number % 2].send_signal(signal.SIGKILL)
            (doomed,), (spared,) = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED)
            assert "model runner has unexpectedly stopped" in doomed.result()
            assert await counted(server) == COUNTED, "a new replica has taken its place"
            assert len(runners(server)) == 2
            assert not spared.done()
            spared.cancel()
            await asyncio.wait([spared])
    assert await counted(server) == COUNTED
    assert not leaks(head, files, KILLS)


async def test_a_burst_adds_a_replica_that_leaves_when_it_is_over(home: Path) -> None:
    with running_server(home, OLLAMA_NUM_PARALLEL="1", OLLAMA_KEEP_ALIVE="1s") as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        with ollama.Client(server.url) as client:
            stream = endless(client)
            assert len(runners(server)) == 1
            assert await asyncio.gather(*(counted(server) for _ in range(4))) == [COUNTED] * 4
            first, second = runners(server)
            while second.is_running():
                assert next(stream).response, "the stream goes on while the other replica leaves"
            assert runners(server) == [first]
            assert await counted(server) == COUNTED, "another one comes when it is needed again"
            assert len(runners(server)) == 2
            stream.close()  # type: ignore[attr-defined]


async def test_a_model_stays_on_the_devices_that_a_rule_or_a_request_ties_it_to(server: Server) -> None:
    create_from_file(server, "tied", MODELS / "probe.gguf")
    for model, wish, core in (("tied", {}, CORES[1]), ("probe", {"gpu_selection": [f"cpu:{CORES[0]}"]}, CORES[0])):
        bodies = [{"model": model, "prompt": "please count", "raw": True, "stream": False, "multi_gpu": wish}] * 3
        answers = (asyncio.to_thread(server.json, "POST", "/api/generate", body) for body in bodies)
        assert all(answer["done"] for answer in await asyncio.gather(*answers))
        loaded = server.json("GET", "/api/multigpu/models")["models"]
        (replicas,) = (found["replicas"] for found in loaded if found["name"] == f"{model}:latest")
        assert [replica["devices"] for replica in replicas] == [[f"cpu:{core}"]]


def test_a_plan_is_shown_before_anything_is_loaded(server: Server) -> None:
    plan = server.json("GET", "/api/multigpu/plan?model=probe")
    assert (plan["possible"], plan["fits_now"]) == (True, True)
    assert [replica["shares"][0]["device"] for replica in plan["replicas"]] == [f"cpu:{core}" for core in CORES]
    assert runners(server) == []
    topology = server.json("GET", "/api/multigpu/topology")
    assert [device["cores"] for device in topology["devices"]] == [[core] for core in CORES]
    assert [(link["from"], link["to"]) for link in topology["links"]] == [(f"cpu:{CORES[0]}", f"cpu:{CORES[1]}")]
