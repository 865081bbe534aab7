"""How long starting takes, from the first instruction to an answer, and what a server at rest keeps in memory."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Final

import aiohttp

from benchmarks.serve.load import Answer, Client
from benchmarks.serve.servers import POLLAMA, Server, Setting, llama_server, pollama, pollama_environment
from benchmarks.serve.workload import Ask

_ASK: Final = Ask(prompt="hello", tokens=2)
_COMMANDS: Final = (("--version",), ("--help",), ("list",))


def run_seconds(command: Sequence[str], environment: Mapping[str, str], repeats: int) -> float:
    """Return the median seconds that a command takes."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


async def first_answer(server: Server) -> float:
    """Return the monotonic time of the first token of an answer."""
    answer = Answer(time.monotonic())
    async with aiohttp.ClientSession() as session:
        await Client(session, server.url, server.dialect).ask(_ASK, answer)
    return answer.arrivals[0]


async def cold_llama_server(program: Path, setting: Setting, log: IO[bytes]) -> float:
    """Return the seconds from the start of llama-server to the first token."""
    begun = time.monotonic()
    async with llama_server(program, setting, log) as server:
        return await first_answer(server) - begun


async def cold_pollama(setting: Setting, folder: Path, log: IO[bytes]) -> tuple[float, float]:
    """Return the seconds to the first token from the start of pollama, and from a request to a server at rest."""
    begun = time.monotonic()
    async with pollama(setting, folder, log, create=False) as server:
        asked = time.monotonic()
        first = await first_answer(server)
        return first - begun, first - asked


async def starts(program: Path, setting: Setting, folder: Path, log: IO[bytes], repeats: int) -> dict[str, list[float]]:
    """Return the cold starts of both servers, in turn. The model is in the page cache and in pollama's store."""
    async with pollama(setting, folder, log):
        pass
    found: dict[str, list[float]] = {"llama-server": [], "pollama": [], "pollama, server running": []}
    for _ in range(repeats):
        found["llama-server"].append(await cold_llama_server(program, setting, log))
        whole, load = await cold_pollama(setting, folder, log)
        found["pollama"].append(whole)
        found["pollama, server running"].append(load)
    return found


async def at_rest(setting: Setting, folder: Path, log: IO[bytes], repeats: int) -> dict[str, float]:
    """Return the head's resident bytes before and after its first answers, and the seconds of quick commands."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(pollama(setting, folder, log, create=False))
        fresh = server.usage().front_bytes
        environment = pollama_environment(setting, folder, int(server.url.rsplit(":", 1)[1]))
        seconds = {
            f"pollama {' '.join(command)}": await asyncio.to_thread(
                run_seconds, [*POLLAMA, *command], environment, repeats
            )
            for command in _COMMANDS
        }
        await first_answer(server)
        return {"head at rest": fresh, "head after answers": server.usage().front_bytes, **seconds}
