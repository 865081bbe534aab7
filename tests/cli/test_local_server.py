"""A run that finds no server, with the real one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pollama.cli.local_server import is_this_machine
from tests.e2e.conftest import create_from_file
from tests.e2e.server import free_port, running_server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, probe_model: Path) -> Path:
    """A home whose store holds the model ``probe``, and where no server runs any more."""
    folder = tmp_path_factory.mktemp("home")
    with running_server(folder) as server:
        create_from_file(server, "probe", probe_model)
    return folder


@contextmanager
def started(home: Path, port: int, models: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a home of its own; it is gone when the block ends."""
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(models),
        "OMP_WAIT_POLICY": "passive",
    }
    command = [sys.executable, "-m", "pollama", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_run_brings_its_own_server_and_takes_it_away(store: Path) -> None:
    port = free_port()
    with started(store, port, store / "models", "run", "probe", "hello") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip()
    assert f"No server answers at 127.0.0.1:{port}. Starting one until this command ends" in err
    assert not answers(port)


def test_a_run_that_is_terminated_takes_its_server_along(store: Path) -> None:
    port = free_port()
    with started(store, port, store / "models", "run", "probe", "hello") as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert not answers(port)


def test_a_server_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with started(tmp_path, free_port(), tmp_path / "file", "run", "probe", "hello") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "Error: the server did not start: " in err
    assert str(tmp_path / "file") in err


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", True), ("::1", True), ("", True), ("10.0.0.9", False)],
)
def test_no_server_is_started_for_another_machine(host: str, local: bool) -> None:
    assert is_this_machine(host) is local


def test_a_port_in_use_is_named(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(store, port, store / "models", "serve") as process:
            _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.endswith(f"Error: listen tcp 127.0.0.1:{port}: bind: address already in use\n")
