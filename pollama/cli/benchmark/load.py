"""A closed loop of clients against a server: each asks again as soon as it has its answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from pollama.cli.errors import CliError
from pollama.runners.meter import percentiles
from pollama.types.json import Json
from pollama.types.speed import Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is asked: ``rounds`` times per client, prompts of about ``prompt`` tokens, answers of up to ``answer``."""

    model: str
    clients: int
    rounds: int
    prompt: int
    answer: int
    wish: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it. ``throughput`` in tokens/s over all clients; times in seconds."""

    throughput: float
    tokens: int
    seconds: float
    first_token: Percentiles
    token: Percentiles


@dataclass(slots=True)
class _Samples:
    first: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    tokens: int = 0


def measure(url: str, work: Work) -> Measured:
    """Return the speed of the server at ``url``; the model is loaded before. Raises CliError with what it refuses."""
    try:
        return asyncio.run(_measure(url, work))
    except aiohttp.ClientError as error:
        raise CliError(f"the server has stopped answering: {error}") from error


async def _measure(url: str, work: Work) -> Measured:
    samples = _Samples()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        await _ask(session, work, "warm up", _Samples())
        started = time.perf_counter()
        await asyncio.gather(*(_client(session, work, number, samples) for number in range(work.clients)))
        seconds = time.perf_counter() - started
    return Measured(
        throughput=samples.tokens / seconds,
        tokens=samples.tokens,
        seconds=seconds,
        first_token=percentiles(samples.first),
        token=percentiles(samples.between),
    )


async def _client(session: aiohttp.ClientSession, work: Work, number: int, samples: _Samples) -> None:
    for turn in range(work.rounds):
        await _ask(session, work, _prompt(work.prompt, f"{number}-{turn}"), samples)


def _prompt(tokens: int, name: str) -> str:
    """Return a text of its own of about so many tokens, so that no cache answers for the model."""
    words = [f"{name}-{index}" for index in range(max(1, tokens // 4))]
    return " ".join(words)


async def _ask(session: aiohttp.ClientSession, work: Work, prompt: str, samples: _Samples) -> None:
    body = {
        "model": work.model,
        "prompt": prompt,
        "raw": True,
        "options": {"temperature": 0, "num_predict": work.answer},
        "multi_gpu": dict(work.wish),
    }
    last, is_first = time.perf_counter(), True
    async with session.post("/api/generate", json=body) as response:
        async for line in response.content:
            record = json.loads(line)
            if "error" in record:
                raise CliError(record["error"])
            now = time.perf_counter()
            if record["done"]:
                samples.tokens += record.get("eval_count", 0)
            else:
                (samples.first if is_first else samples.between).append(now - last)
            last, is_first = now, False
