"""A model split by layers over two device workers says what it says on one device."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def child(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.split_child", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def listening(worker: asyncio.subprocess.Process, port: int) -> None:
    """Wait until a worker accepts; a connection to try would be the only one that it serves."""
    process = psutil.Process(worker.pid)
    while not any(link.status == psutil.CONN_LISTEN and link.laddr.port == port for link in process.net_connections()):
        assert worker.returncode is None
        await asyncio.sleep(0.02)


@pytest.fixture
async def workers() -> AsyncIterator[list[str]]:
    """Ports of two device workers on the CPU."""
    ports = [free_port(), free_port()]
    processes = [await child("serve", str(port)) for port in ports]
    for process, port in zip(processes, ports, strict=True):
        await listening(process, port)
    yield [str(port) for port in ports]
    for process in processes:
        process.kill()
        await process.communicate()


async def test_a_layer_split_over_workers(probe_model: Path, workers: list[str]) -> None:
    user = await child("generate", str(probe_model), *workers)
    output, _ = await user.communicate()
    weights, text = output.decode().splitlines()
    small, large = map(int, weights.strip("[]").split(", "))
    assert text == " one two three four five six seven eight nine ten"
    assert 0 < 2 * small < large
