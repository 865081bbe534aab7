"""Compares a pull with `curl` of the same blob from the same registry, interleaved.

python -m benchmarks.pull [--bytes N] [--rounds N] [--line MB]

With --line the registry is behind a line of that many MB per second, else it is on this machine. Needs Debian's
docker-registry (`make registry`) and curl. Prints, as medians of the rounds: seconds and MB/s of curl, which neither
verifies nor flushes what it writes, of curl followed by `sha256sum`, and of `pollama pull`, which does both meanwhile;
the ratios; and the memory of the server before and at its peak.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pollama.models import media
from pollama.models.manifest import Layer, Manifest
from tests.docker_registry import MISSING, PROGRAM, DockerRegistry, running_docker_registry
from tests.e2e.server import Server, running_server
from tests.front import running_front

PIECE = 1 << 20
REPOSITORY = "bench/model"


def write_blob(path: Path, size: int) -> str:
    """Write ``size`` bytes that do not compress and return their digest."""
    total = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(-(-size // PIECE)):
            piece = hashlib.shake_128(str(number).encode()).digest(PIECE)[: size - number * PIECE]
            total.update(piece)
            file.write(piece)
    return f"sha256:{total.hexdigest()}"


def curl(*arguments: str) -> str:
    """Run curl and return what it prints."""
    return subprocess.run(["curl", "-sSf", *arguments], check=True, capture_output=True, text=True).stdout


def publish(registry: DockerRegistry, blob: Path, digest: str) -> None:
    """Put a model of one blob into the registry."""
    config = blob.with_name("config")
    config.write_text("{}")
    config_digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    for path, name in ((blob, digest), (config, config_digest)):
        started = curl("-X", "POST", "-D", "-", f"http://{registry.host}/v2/{REPOSITORY}/blobs/uploads/")
        location = next(line.split()[1] for line in started.splitlines() if line.lower().startswith("location:"))
        curl("-T", str(path), "-H", "Content-Type: application/octet-stream", f"{location}&digest={name}")
    manifest = Manifest(
        config=Layer(media_type=media.CONFIG, digest=config_digest, size=2),
        layers=[Layer(media_type=media.MODEL, digest=digest, size=blob.stat().st_size)],
    )
    config.write_bytes(manifest.encoded())
    url = f"http://{registry.host}/v2/{REPOSITORY}/manifests/latest"
    curl("-T", str(config), "-H", f"Content-Type: {media.MANIFEST}", url)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def pull(server: Server, name: str) -> None:
    """Pull a model and check that it came."""
    _, body = server.request("POST", "/api/pull", {"model": name, "insecure": True})
    last = json.loads(body.decode().splitlines()[-1])
    assert last == {"status": "success"}, last


def memory(server: Server, key: str) -> float:
    """Return a figure of the server's memory in MB: VmRSS is the present one, VmHWM the highest."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def line(registry: DockerRegistry, rate: float) -> Iterator[str]:
    """Yield the address of the registry behind a line of ``rate`` bytes per second, its own for 0."""
    if not rate:
        yield registry.host
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    front = running_front(registry.host)
    try:
        running = asyncio.run_coroutine_threadsafe(front.__aenter__(), loop).result()
        running.rate = rate
        yield running.host
        asyncio.run_coroutine_threadsafe(front.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def measure(folder: Path, size: int, rounds: int, rate: float) -> None:
    """Run all rounds below ``folder`` and print the figures."""
    blob = folder / "blob"
    digest = write_blob(blob, size)
    seconds: dict[str, list[float]] = {"curl": [], "curl, sha256sum": [], "pollama pull": []}
    with running_docker_registry(folder / "registry") as registry, running_server(folder) as server:
        publish(registry, blob, digest)
        blob.unlink()
        before = memory(server, "VmRSS")
        with line(registry, rate) as host:
            for _ in range(rounds):
                add_round(seconds, server, host, digest, folder / "copy")
        peak = memory(server, "VmHWM")
    report(seconds, size)
    print(f"memory of the server: {before:.0f} MB before, {peak:.0f} MB at its peak")


def add_round(seconds: dict[str, list[float]], server: Server, host: str, digest: str, copy: Path) -> None:
    """Fetch the blob from ``host`` in each way once."""
    plain = timed(lambda: curl("-o", str(copy), f"http://{host}/v2/{REPOSITORY}/blobs/{digest}"))
    hashing = timed(lambda: subprocess.run(["sha256sum", str(copy)], check=True, capture_output=True))
    copy.unlink()
    seconds["curl"].append(plain)
    seconds["curl, sha256sum"].append(plain + hashing)
    seconds["pollama pull"].append(timed(lambda: pull(server, f"{host}/{REPOSITORY}")))
    server.request("DELETE", "/api/delete", {"model": f"{host}/{REPOSITORY}"})


def report(seconds: dict[str, list[float]], size: int) -> None:
    """Print the medians."""
    for name, values in seconds.items():
        median = statistics.median(values)
        ratio = statistics.median(base / value for base, value in zip(seconds["curl"], values, strict=True))
        print(f"{name:20s}{median:7.2f} s {size / median / 1e6:8.0f} MB/s {ratio:6.2f} of curl")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--line", type=float, default=0, metavar="MB")
    arguments = parser.parse_args()
    if PROGRAM is None or shutil.which("curl") is None:
        parser.error(MISSING if PROGRAM is None else "curl is not there")
    print(f"{psutil.cpu_count()} processors, {arguments.bytes / 1e6:.0f} MB, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="pollama-pull-") as folder:
        measure(Path(folder), arguments.bytes, arguments.rounds, arguments.line * 1e6)


if __name__ == "__main__":
    main()
