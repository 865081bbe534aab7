"""A real registry on the loopback interface: Debian's ``docker-registry``."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.server import free_port

_START_SECONDS = 30
_FETCHED = Path(__file__).parent.parent / ".cache" / "docker-registry" / "usr" / "bin" / "docker-registry"

PROGRAM = shutil.which("docker-registry") or (str(_FETCHED) if os.access(_FETCHED, os.X_OK) else None)
MISSING = "docker-registry is not there: `make registry` fetches it on Debian"


@dataclass(frozen=True)
class DockerRegistry:
    """A running registry: its address, and the folder that it stores everything in."""

    host: str
    folder: Path

    def blob(self, digest: str) -> Path:
        """Return the file in which the registry keeps a blob."""
        value = digest.removeprefix("sha256:")
        return self.folder / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"


@contextmanager
def running_docker_registry(folder: Path) -> Iterator[DockerRegistry]:
    """Start a registry with its storage in ``folder``; stop it at the end."""
    assert PROGRAM is not None
    port = free_port()
    environment = {
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(folder),
        "OTEL_TRACES_EXPORTER": "none",
    }
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {}}\nhttp: {secret: any}\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", str(config)], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_answering(process, port, folder / "log")
        yield DockerRegistry(f"127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_answering(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
        except ConnectionRefusedError:
            time.sleep(0.05)  # the only way to learn that another process listens is to ask again
        else:
            return
        finally:
            connection.close()
    raise AssertionError(f"no answer after {_START_SECONDS} s: {log.read_text()}")
