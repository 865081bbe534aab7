"""Processes: what dies, what must not, and what must not be left behind."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import ollama
import psutil
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.processes import runners
from tests.e2e.server import running_server

ENDLESS = {"model": "probe", "prompt": "please spin", "raw": True, "options": {"temperature": 0, "num_predict": -1}}
DROPS = 1000
AT_ONCE = 20


def test_kill_of_the_head_leaves_no_runner(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        server.json("POST", "/api/generate", {"model": "probe", "prompt": "please count", "stream": False})
        left = psutil.Process(server.process.pid).children(recursive=True)
        assert runners(server)
        server.process.kill()
        server.process.wait(timeout=30)
    _, alive = psutil.wait_procs(left, timeout=30)
    assert alive == []


def test_a_killed_runner_fails_its_requests_and_the_next_one_starts_another(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        with ollama.Client(server.url) as client:
            stream = client.generate(**{**ENDLESS, "stream": True})
            next(stream)
            for runner in runners(server):
                runner.send_signal(signal.SIGKILL)
            with pytest.raises(ollama.ResponseError, match="model runner has unexpectedly stopped"):
                list(stream)
            answer = client.generate("probe", "please count", raw=True, options={"temperature": 0, "num_predict": 3})
            assert answer.response == " one two three"


async def _drop(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(f"{url}/api/generate", json=ENDLESS) as answer:
        await answer.content.readline()
        answer.close()


async def test_dropped_requests_leave_nothing_behind(tmp_path: Path) -> None:
    with running_server(tmp_path, OLLAMA_NUM_PARALLEL="8") as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        async with aiohttp.ClientSession() as session:
            await _drops(session, server.url, AT_ONCE)
            head, runner = psutil.Process(server.process.pid), runners(server)[0]
            before = await _settled(session, server.url, [head, runner])
            await _drops(session, server.url, DROPS)
            after = await _settled(session, server.url, [head, runner])
        for (fds_before, memory_before), (fds_after, memory_after) in zip(before, after, strict=True):
            assert fds_after <= fds_before + AT_ONCE
            assert memory_after < memory_before * 1.3 + 30_000_000


async def _drops(session: aiohttp.ClientSession, url: str, count: int) -> None:
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(_drop(session, url) for _ in range(start, min(count, start + AT_ONCE))))


async def _settled(session: aiohttp.ClientSession, url: str, processes: list[psutil.Process]) -> list[tuple[int, int]]:
    """A request that is answered after all drops proves that their sequences are gone; then count."""
    body = {**ENDLESS, "prompt": "please count", "stream": False, "options": {"temperature": 0, "num_predict": 2}}
    async with session.post(f"{url}/api/generate", json=body) as answer:
        assert (await answer.json())["done"]
    return [(process.num_fds(), process.memory_info().rss) for process in processes]
