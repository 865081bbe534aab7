"""The servers under test as child processes: started, found ready, measured and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import aiohttp
import psutil

from benchmarks.serve.dialects import MODEL, Dialect, LlamaServer, Ollama
from benchmarks.serve.figures import Usage

_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02
_END_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both servers are told. ``slots`` requests at once, each with ``context`` tokens; 0: the server's default."""

    model: Path
    slots: int = 0
    context: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. The first of ``processes`` speaks HTTP; their children count too."""

    name: str
    url: str
    dialect: Dialect
    processes: tuple[psutil.Process, ...]

    def usage(self) -> Usage:
        """Return what all of its processes have used so far."""
        front, *others = (_used(process) for process in self.processes)
        children = [_used(child) for process in self.processes for child in process.children(recursive=True)]
        seconds, size = (sum(values) for values in zip(front, *others, *children, strict=True))
        return Usage(front_seconds=front[0], seconds=seconds, front_bytes=int(front[1]), bytes=int(size))


def _used(process: psutil.Process) -> tuple[float, float]:
    """Return seconds of processor time and resident bytes; nothing of a process that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss
    return 0.0, 0.0


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: IO[bytes],
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program, and end it; what it says goes to ``log``, unless ``stdout`` says otherwise."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdin=stdin, stdout=log if stdout is None else stdout, stderr=log
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Return when ``url`` answers with 200. Raises RuntimeError when the process ends before, or takes too long."""
    deadline = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{url} does not answer; see the log of the servers")


@asynccontextmanager
async def llama_server(program: Path, setting: Setting, log: IO[bytes], *, cores: str = "") -> AsyncIterator[Server]:
    """Run llama-server over a model, on ``cores`` ("0", "2-3") if they are given."""
    port = free_port()
    command = ["taskset", "--cpu-list", cores] if cores else []
    command += [str(program), "-m", str(setting.model), "--host", "127.0.0.1", "--port", str(port)]
    command += ["-np", str(setting.slots)] if setting.slots else []
    command += ["-c", str(setting.context * max(setting.slots, 1))] if setting.context else []
    command += ["-t", str(setting.threads)] if setting.threads else []
    url = f"http://127.0.0.1:{port}"
    async with started(command, {}, log) as process:
        await until_ready(f"{url}/health", process)
        yield Server("llama-server", url, LlamaServer(), (psutil.Process(process.pid),))


def pollama_environment(setting: Setting, folder: Path, port: int) -> dict[str, str]:
    """Return what tells pollama its address, its models and what ``setting`` says."""
    numbers = {
        "OLLAMA_NUM_PARALLEL": setting.slots,
        "OLLAMA_CONTEXT_LENGTH": setting.context,
        "LLAMA_ARG_THREADS": setting.threads,
    }
    return {
        "PYTHONDONTWRITEBYTECODE": "",  # modules are compiled once, as an installation has them
        "HOME": str(folder),
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        **{name: str(number) for name, number in numbers.items() if number},
    }


POLLAMA: Final = (sys.executable, "-m", "pollama")


@asynccontextmanager
async def pollama(setting: Setting, folder: Path, log: IO[bytes], *, create: bool = True) -> AsyncIterator[Server]:
    """Run pollama with a model called ``MODEL``; ``folder`` keeps its store, where it is already without ``create``."""
    port = free_port()
    environment = pollama_environment(setting, folder, port)
    url = f"http://127.0.0.1:{port}"
    async with started([*POLLAMA, "serve"], environment, log) as process:
        await until_ready(url, process)
        if create:
            await _create(setting.model, folder, environment, log)
        yield Server("pollama", url, Ollama(), (psutil.Process(process.pid),))


async def _create(model: Path, folder: Path, environment: Mapping[str, str], log: IO[bytes]) -> None:
    recipe = folder / "Modelfile"
    recipe.write_text(f"FROM {model}\n", encoding="utf-8")
    async with started([*POLLAMA, "create", MODEL, "-f", str(recipe)], environment, log) as process:
        if await process.wait():
            raise RuntimeError(f"{model}: pollama could not create a model from it; see the log of the servers")
