"""The load generator: clients that ask, in a closed or an open loop, and note when each record of an answer came."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import aiohttp

from benchmarks.serve.dialects import Counts, Dialect
from benchmarks.serve.workload import Ask, Scenario

_PATIENCE: Final = 20.0
"""Seconds that clients may take to get their first token before the counting begins without them."""
_POLL_SECONDS: Final = 0.02


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


class Asker(Protocol):
    """Whatever answers requests."""

    async def ask(self, ask: Ask, answer: Answer) -> None:
        """Have a request answered, and note the answer as it comes."""
        ...


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


async def run(client: Asker, scenario: Scenario, requests: Iterator[Ask], pace: Pace) -> Window:
    """Put the load of a scenario on a server; count once every client has been answered and the load has settled.

    Answers that are not whole at the end are broken off. Raises aiohttp.ClientError when a request fails.
    """
    answers: list[Answer] = []
    start = time.monotonic()
    tasks = [asyncio.create_task(job) for job in _jobs(client, scenario, requests, answers)]
    try:
        await _until_answered(tasks, answers, scenario.clients)
        begin = time.monotonic() + pace.settle
        await _go_on(tasks, pace.settle + pace.seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return Window(start, begin, begin + pace.seconds, answers)


def _jobs(
    client: Asker, scenario: Scenario, requests: Iterator[Ask], answers: list[Answer]
) -> Iterator[Coroutine[None, None, None]]:
    """Yield what asks. The first answers of a closed loop are cut to different lengths, or all would end at once."""
    if scenario.rate:
        yield _arrive(client, requests, scenario.rate, answers)
        return
    for number in range(1, scenario.clients + 1):
        first = replace(request := next(requests), tokens=-(-request.tokens * number // scenario.clients))
        yield _ask_on(client, itertools.chain([first], requests), answers)


async def _until_answered(tasks: list[asyncio.Task[None]], answers: list[Answer], clients: int) -> None:
    """Wait until the first ``clients`` requests, in a closed loop one of each client, have their first token."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if len(answers) >= clients and all(answer.arrivals for answer in answers[:clients]):
            return
        await _go_on(tasks, _POLL_SECONDS)


async def _go_on(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Let the tasks, which never end by themselves, go on for a while. Raises what one of them fails with."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


async def _ask_on(client: Asker, requests: Iterator[Ask], answers: list[Answer]) -> None:
    for request in requests:
        await _ask_once(client, request, answers)


async def _ask_once(client: Asker, request: Ask, answers: list[Answer]) -> None:
    answer = Answer(time.monotonic())
    answers.append(answer)
    await client.ask(request, answer)


async def _arrive(client: Asker, requests: Iterator[Ask], rate: float, answers: list[Answer]) -> None:
    """Send ``rate`` requests per second on average, at random (Poisson) times, whatever the answers take."""
    dice = random.Random(0)  # noqa: S311 (the same times for every server)
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while True:
            due += dice.expovariate(rate)
            await asyncio.sleep(due - time.monotonic())
            group.create_task(_ask_once(client, next(requests), answers))
