"""A real `pollama serve` as a child process, for tests that come in through the front door."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60


class Endpoint:
    """Where a server answers. ``url`` is its base address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, method: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, bytes]:
        """Send one request and return status and body, whatever the status is."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request that must succeed and return its decoded body."""
        status, data = self.request(method, path, body)
        assert status == 200, data
        return json.loads(data)


class Server(Endpoint):
    """A running server. ``models`` is its store, ``log`` its output."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, models: Path, log: Path) -> None:
        super().__init__(url)
        self.process = process
        self.models = models
        self.log = log


@contextmanager
def running_server(folder: Path, **environment: str) -> Iterator[Server]:
    """Start a server on a free port with a store below ``folder``; stop it, and check that it stops, at the end."""
    port = free_port()
    models = folder / "models"
    log = folder / "serve.log"
    settings = {
        **{key: value for key, value in os.environ.items() if not key.startswith("OLLAMA_")},
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(models),
        "OLLAMA_NO_CLOUD": "1",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pollama", "serve"], env=settings, stdout=output, stderr=subprocess.STDOUT
        )
    server = Server(process, f"http://127.0.0.1:{port}", models, log)
    try:
        _wait_until_answering(server)
        yield server
    finally:
        if process.poll() is None:  # a test may have killed it
            process.terminate()
            assert process.wait(timeout=30) == 0, log.read_text()


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_answering(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text()
        try:
            server.request("GET", "/")
        except OSError:  # refused, or reset by what had the port before
            time.sleep(0.05)  # the only way to learn that another process listens is to ask again
        else:
            return
    raise AssertionError(f"no answer after {START_SECONDS} s: {server.log.read_text()}")
