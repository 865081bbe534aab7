"""The load generator: clients that ask, in a closed or an open loop, and note when each record of an answer came."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from benchmarks.serve.dialects import Counts, Dialect
from benchmarks.serve.workload import Ask, Scenario


@dataclass(slots=True)
class Answer:
    """When a request was sent and its records came, in seconds of the monotonic clock; ``counts`` once it is whole."""

    sent: float
    arrivals: list[float] = field(default_factory=list)
    counts: Counts | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """All answers since ``start``, and the time in which it counts what came (once the load had settled)."""

    start: float
    begin: float
    end: float
    answers: list[Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a load settles and is counted, in seconds."""

    settle: float = 1.0
    seconds: float = 5.0


class Client:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, dialect: Dialect) -> None:
        self._session = session
        self._url = url + dialect.path
        self._dialect = dialect

    async def ask(self, ask: Ask, answer: Answer) -> None:
        """Send a request and note its answer as it comes. Raises aiohttp.ClientError when it is refused."""
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=self._dialect.body(ask), headers=headers) as response:
            if response.status != 200:
                raise aiohttp.ClientPayloadError(f"{self._url}: {response.status} {(await response.text())[:300]}")
            rest = b""
            async for data in response.content.iter_any():
                now = time.monotonic()
                *records, rest = (rest + data).split(b"\n")
                for record in filter(None, records):
                    self._note(record, now, answer)

    def _note(self, record: bytes, now: float, answer: Answer) -> None:
        counts = self._dialect.counts(record)
        if counts is not None:
            answer.counts = counts
        elif answer.counts is None:
            answer.arrivals.append(now)


async def run(client: Client, scenario: Scenario, requests: Iterator[Ask], pace: Pace) -> Window:
    """Put the load of a scenario on a server; count once it has settled.

    Answers that are not whole at the end are broken off. Raises aiohttp.ClientError when a request fails.
    """
    answers: list[Answer] = []
    start = time.monotonic()
    if scenario.rate:
        tasks = [asyncio.create_task(_arrive(client, requests, scenario.rate, answers))]
    else:
        tasks = [asyncio.create_task(_ask_on(client, requests, answers)) for _ in range(scenario.clients)]
    await _watch(tasks, pace.settle + pace.seconds)
    return Window(start, start + pace.settle, start + pace.settle + pace.seconds, answers)


async def _ask_on(client: Client, requests: Iterator[Ask], answers: list[Answer]) -> None:
    while True:
        await _ask_once(client, next(requests), answers)


async def _ask_once(client: Client, request: Ask, answers: list[Answer]) -> None:
    answer = Answer(time.monotonic())
    answers.append(answer)
    await client.ask(request, answer)


async def _arrive(client: Client, requests: Iterator[Ask], rate: float, answers: list[Answer]) -> None:
    """Send ``rate`` requests per second on average, at random (Poisson) times, whatever the answers take."""
    dice = random.Random(0)  # noqa: S311 (the same times for every server)
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while True:
            due += dice.expovariate(rate)
            await asyncio.sleep(due - time.monotonic())
            group.create_task(_ask_once(client, next(requests), answers))


async def _watch(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Cancel the tasks, which never end by themselves, after ``seconds``. Raises what one of them fails with."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in done:
        task.result()
