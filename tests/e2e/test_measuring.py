"""A server with two CPU devices of one core each measures them while nobody asks for anything."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.server import Server, running_server

CORES = sorted(os.sched_getaffinity(0))[:2]
SECONDS = 120

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with settings for two devices."""
    settings = tmp_path / ".pollama" / "config.yaml"
    settings.parent.mkdir()
    devices = f'devices: {{cpu: [{{cores: "{CORES[0]}"}}, {{cores: "{CORES[1]}"}}]}}'
    settings.write_text(f"{devices}\nmulti_gpu: {{enabled: true}}\n")
    return tmp_path


def topology_once_measured(server: Server, devices: int = 2) -> Any:
    """Ask until so many devices have a speed, and all links."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        topology = server.json("GET", "/api/multigpu/topology")
        known = sum("bandwidth" in device for device in topology["devices"])
        if known == devices and all("bandwidth" in link for link in topology["links"]):
            return topology
    raise AssertionError(server.log.read_text())


def test_devices_and_links_are_measured_once(home: Path) -> None:
    with running_server(home) as server:
        measured = topology_once_measured(server)
    assert all(0 < device["bandwidth"] < device["compute"] for device in measured["devices"])
    assert all(0 < link["latency"] < link["bandwidth"] for link in measured["links"])
    kept = home / ".pollama" / "speed.json"
    assert set(json.loads(kept.read_text())["devices"]) == {f"cpu:{core}" for core in CORES}
    with running_server(home) as server:
        assert server.json("GET", "/api/multigpu/topology")["links"] == measured["links"]


def measuring(server: Server) -> psutil.Process:
    """Wait for the process that measures."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for child in psutil.Process(server.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "pollama.native.speed" in child.cmdline():
                    return child
    raise AssertionError(server.log.read_text())


def test_a_server_that_stops_meanwhile_leaves_no_process(home: Path) -> None:
    with running_server(home) as server:
        child = measuring(server)
    assert not child.is_running()


def test_a_measurement_that_is_killed_costs_its_result_only(home: Path) -> None:
    with running_server(home) as server:
        measuring(server).kill()
        devices = topology_once_measured(server, devices=1)["devices"]
        assert [device["id"] for device in devices if "bandwidth" in device] == [f"cpu:{CORES[1]}"]
    assert "could not be measured" in server.log.read_text()
