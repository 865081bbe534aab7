"""Two devices of one core each: a replica moves under load, settings change while the server runs and stay changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ollama
import pytest

from pollama.config import Config
from pollama.discover.devices import DeviceReader
from pollama.types.cores import CpuPartition
from pollama.types.devices import Telemetry
from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.inside import serving_on
from tests.e2e.processes import runners
from tests.e2e.server import Endpoint, Server, running_server
from tests.e2e.test_multigpu import COUNTED, counted, endless

CORES = sorted(os.sched_getaffinity(0))[:2]
DEVICES = f'devices: {{cpu: [{{cores: "{CORES[0]}"}}, {{cores: "{CORES[-1]}"}}]}}\n'

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of a server with two CPU devices."""
    file = tmp_path / ".pollama" / "config.yaml"
    file.parent.mkdir()
    given = "enabled: true, strategy: data, monitoring: {performance_profiling: false}, data_parallel: {replicas: 1}"
    file.write_text(f"{DEVICES}multi_gpu: {{{given}}}  # one is enough\n")
    return file


@pytest.fixture
def server(tmp_path: Path, settings: Path) -> Iterator[Server]:
    with running_server(tmp_path) as running:
        create_from_file(running, "probe", MODELS / "probe.gguf")
        yield running


def placed(server: Endpoint) -> list[str]:
    """Return the devices of the replicas of the only model."""
    (model,) = server.json("GET", "/api/multigpu/models")["models"]
    return [share["device"] for replica in model["replicas"] for share in replica["plan"]["shares"] if share["layers"]]


async def test_a_replica_moves_and_no_request_fails(server: Server) -> None:
    assert await counted(server) == COUNTED
    (source,) = placed(server)
    (target,) = {f"cpu:{core}" for core in CORES} - {source}
    with ollama.Client(server.url) as client:
        stream = endless(client)
        move = server.json("POST", "/api/multigpu/migrate", {"model": "probe", "devices": [target]})
        assert (move["from"], move["to"], move["state"]) == ([source], [target], "loading")
        while moves(server)[0]["state"] == "loading":
            assert next(stream).response, "the stream goes on while the new replica loads"
        assert await counted(server) == COUNTED, "the new replica answers"
        assert next(stream).response, "and the old one finishes what it has"
        stream.close()  # type: ignore[attr-defined]
    while moves(server)[0]["state"] != "done":
        assert await counted(server) == COUNTED
    assert placed(server) == [target]
    assert [runner.cpu_affinity() for runner in runners(server)] == [[int(target.removeprefix("cpu:"))]]


def states(server: Endpoint) -> list[str]:
    """Return whether the replicas of the only model are loading, ready or leaving."""
    (model,) = server.json("GET", "/api/multigpu/models")["models"]
    return [replica["state"] for replica in model["replicas"]]


def moves(server: Endpoint) -> Any:
    return server.json("GET", "/api/multigpu/status")["moves"]


class Loaded(DeviceReader):
    """The devices of this machine, as busy as a test says (percent by device)."""

    def __init__(self, config: Config, loads: Mapping[str, float]) -> None:
        super().__init__(config)
        self.loads = loads

    async def telemetry(self) -> list[Telemetry]:
        return [Telemetry(device=device, time=0, utilisation=load) for device, load in self.loads.items()]


async def test_a_replica_leaves_a_busy_device_and_no_request_fails(tmp_path: Path) -> None:
    loads = {f"cpu:{core}": 5.0 for core in CORES}
    settings: Any = {
        "cpu_partitions": tuple(CpuPartition(cores=(core,)) for core in CORES),
        "gpu_strategy": "data",
        "replicas": 1,
        "auto_migration": True,
        "migration_cooldown": 1.0,
    }
    async with serving_on(lambda config: Loaded(config, loads), tmp_path, **settings) as server:
        assert await counted(server) == COUNTED
        (source,) = await asyncio.to_thread(placed, server)
        (target,) = loads.keys() - {source}
        loads[source] = 95.0
        while await asyncio.to_thread(placed, server) != [target]:
            assert await counted(server) == COUNTED
        (move,) = await asyncio.to_thread(moves, server)
        assert (move["from"], move["to"], move["reason"]) == ([source], [target], f"{source} is 95% busy")
        assert await counted(server) == COUNTED


async def test_what_was_measured_is_shown(server: Server) -> None:
    assert await counted(server) == COUNTED
    (model,) = server.json("GET", "/api/multigpu/performance")["models"]
    (replica,) = model["replicas"]
    assert (model["name"], replica["requests"]) == ("probe:latest", 1)
    assert model["throughput"] > 0
    assert replica["latency"]["first_token"]["p50"] > 0
    assert replica["tokens"]["decoded"] >= 10


async def test_a_rebalance_brings_the_layout_of_changed_settings_and_no_request_fails(server: Server) -> None:
    def choose(strategy: str) -> None:
        settings = {"strategy": strategy, "data_parallel": {"replicas": 2}}
        server.json("PUT", "/api/multigpu/config", {"multi_gpu": settings})

    choose("pipeline")
    with ollama.Client(server.url) as client:
        stream = endless(client)
        while states(server) != ["ready", "ready"]:
            assert next(stream).response, "the second group of the split loads"
        assert set(placed(server)) == {f"cpu:{core}" for core in CORES}
        assert server.json("POST", "/api/multigpu/rebalance") == {"moves": []}, "it is where it should be"
        choose("data")
        begun = server.json("POST", "/api/multigpu/rebalance")["moves"]
        assert sorted(move["to"] for move in begun) == [[f"cpu:{core}"] for core in CORES]
        while any(move["state"] == "loading" for move in moves(server)):
            assert next(stream).response, "the stream goes on while the new replica loads"
        assert await counted(server) == COUNTED, "the new replica answers"
        assert next(stream).response, "and the old one finishes what it has"
        stream.close()  # type: ignore[attr-defined]
    while any(move["state"] != "done" for move in moves(server)):
        assert await counted(server) == COUNTED
    assert sorted(placed(server)) == [f"cpu:{core}" for core in CORES]


def test_a_change_of_settings_survives_a_restart(tmp_path: Path, settings: Path) -> None:
    with running_server(tmp_path) as server:
        changed = server.json("PUT", "/api/multigpu/config", {"multi_gpu": {"strategy": "pipeline"}})
        assert changed["multi_gpu"]["strategy"] == "pipeline"
        status, body = server.request("PUT", "/api/multigpu/config", {"multi_gpu": {"strategy": "warp"}})
        assert (status, b"multi_gpu.strategy must be of type strategy" in body) == (400, True)
    with running_server(tmp_path) as server:
        assert server.json("GET", "/api/multigpu/status")["strategy"] == "pipeline"
    assert "# one is enough" in settings.read_text()


def test_a_request_that_wants_what_does_not_exist_is_refused_by_field(server: Server) -> None:
    for wish, text in (
        ({"strategy": "warp"}, "multi_gpu.strategy must be one of auto"),
        ({"performance_profile": "cheap"}, "multi_gpu.performance_profile must be one of balanced"),
        ({"gpu_selection": {"a": 1}}, "multi_gpu.gpu_selection must be auto or a list of devices"),
    ):
        status, body = server.request("POST", "/api/generate", {"model": "probe", "prompt": "x", "multi_gpu": wish})
        assert (status, text in body.decode()) == (400, True), body
