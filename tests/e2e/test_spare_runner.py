"""The runner process that a server keeps in spare: who uses it, and that it never stays behind."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.processes import RUNNER, processes, runners
from tests.e2e.server import Server, running_server

ASK = {"model": "probe", "prompt": "please count", "raw": True, "stream": False, "options": {"temperature": 0}}
SECONDS = 60


@pytest.fixture
def sockets() -> Iterator[Path]:
    """The folder for the folders of sockets; its path is short enough for them."""
    folder = Path(tempfile.mkdtemp(prefix="spare-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def until(condition: Callable[[], bool], server: Server) -> None:
    """Wait for something that no event tells of."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.05)


def test_a_model_is_loaded_by_the_runner_in_spare_and_another_one_follows(tmp_path: Path, sockets: Path) -> None:
    with running_server(tmp_path, TMPDIR=str(sockets)) as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        (spare,) = processes(server, RUNNER)
        assert runners(server) == []
        assert server.json("POST", "/api/generate", ASK)["done"]
        assert runners(server) == [spare]
        until(lambda: len(processes(server, RUNNER)) == 2, server)
        assert runners(server) == [spare]
        assert len(server.json("GET", "/api/ps")["models"]) == 1
        both = processes(server, RUNNER)
    assert not any(process.is_running() for process in both)
    assert list(sockets.iterdir()) == []


def test_without_it_a_model_is_loaded_all_the_same(tmp_path: Path) -> None:
    with running_server(tmp_path, POLLAMA_SPARE_RUNNER="0") as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        assert processes(server, RUNNER) == []
        assert server.json("POST", "/api/generate", ASK)["done"]
        assert len(runners(server)) == 1


def test_a_killed_head_leaves_neither_process_nor_folder(tmp_path: Path, sockets: Path) -> None:
    with running_server(tmp_path, TMPDIR=str(sockets)) as server:
        (spare,) = processes(server, RUNNER)
        server.process.kill()
        server.process.wait(timeout=30)
        _, alive = psutil.wait_procs([spare], timeout=SECONDS)
        assert alive == []
    assert list(sockets.iterdir()) == []
