"""One comparison: the same load on each server in turn, round after round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import aiohttp

from benchmarks.serve.figures import Figures, Round, Usage, figures, kept
from benchmarks.serve.load import Client, Pace, run
from benchmarks.serve.servers import Server
from benchmarks.serve.workload import Scenario, asks

Texts = Callable[[Scenario, int], Iterator[str]]
"""Makes the prompts of a scenario from a seed."""


_BREATH: Final = 0.3
"""Seconds in which a server ends what was broken off, before it is another one's turn."""


async def compare(
    servers: Sequence[Server], scenario: Scenario, texts: Texts, pace: Pace, rounds: int
) -> dict[str, list[Round]]:
    """Return the figures of each server; a short round before the first one warms them up."""
    measured: dict[str, list[Round]] = {server.name: [] for server in servers}
    for server in servers:
        await measure(server, scenario, texts(scenario, 0), Pace(settle=pace.settle, seconds=pace.settle))
    for number in range(1, rounds + 1):
        for server in servers:
            measured[server.name].append(kept(await measure(server, scenario, texts(scenario, number), pace)))
    return measured


async def measure(server: Server, scenario: Scenario, texts: Iterator[str], pace: Pace) -> Figures:
    """Put the load on a server once; every request has a connection of its own (llama-server closes them)."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        before = server.usage()
        client = Client(session, server.url, server.dialect)
        window = await run(client, scenario, asks(scenario, texts), pace)
        result = figures(window, used_since(before, server.usage()))
    await asyncio.sleep(_BREATH)
    return result


def used_since(before: Usage, after: Usage) -> Usage:
    """Return the processor time between two readings, with the memory of the second."""
    return Usage(
        front_seconds=after.front_seconds - before.front_seconds,
        seconds=after.seconds - before.seconds,
        front_bytes=after.front_bytes,
        bytes=after.bytes,
    )
