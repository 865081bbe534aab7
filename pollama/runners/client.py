"""A runner as its user sees it: the Runner port over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from pollama.errors import GenerationError, PollamaError, RunnerDiedError
from pollama.runners import protocol
from pollama.runners.answers import Answers, ExpectedAnswer
from pollama.runners.meter import Meter
from pollama.runners.protocol import CountsBody, ErrorBody, TextBody, TextsBody, TokenizeBody, TokensBody, VectorsBody
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, RunnerInfo, RunnerStatus, WorkerUse

T = TypeVar("T")

_DEATH_GRACE: Final = 1.0
"""Seconds that a process whose connection broke gets to be seen dead, so that the error can say why."""


class Lifetime(Protocol):
    """Whatever runs the other end of the connection."""

    async def close(self) -> None:
        """End it; safe to call twice."""
        ...

    async def wait_closed(self) -> str:
        """Return when it has ended, with the reason ("" when ``close`` was called)."""
        ...

    def workers(self) -> list[WorkerUse]:
        """Return what its device workers did so far."""
        ...


class HttpRunner:
    """One replica behind an HTTP connection."""

    def __init__(self, session: aiohttp.ClientSession, answers: Answers, lifetime: Lifetime, info: RunnerInfo) -> None:
        self._session = session
        self._answers = answers
        self._requests: set[asyncio.Task[None]] = set()
        self._lifetime = lifetime
        self._info = info
        self._meter = Meter(asyncio.get_running_loop().time)

    @classmethod
    async def connect(cls, path: Path, connection: socket.socket, lifetime: Lifetime) -> HttpRunner:
        """Connect to a runner that is ready: it listens at ``path`` and tells answers on ``connection``.

        Raises RunnerDiedError or the runner's own error.
        """
        answers = await Answers.connect(connection)
        session = aiohttp.ClientSession(
            base_url="http://runner",
            connector=aiohttp.UnixConnector(str(path), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        try:
            async with _connected(session, lifetime):
                info = await _call(session, "GET", protocol.INFO, RunnerInfo)
        except BaseException:
            answers.close()
            await session.close()
            raise
        return cls(session, answers, lifetime, info)

    @property
    def info(self) -> RunnerInfo:
        """Facts fixed at load."""
        return self._info

    async def status(self) -> RunnerStatus:
        """Ask for the current state."""
        status = await self._ask("GET", protocol.STATUS, RunnerStatus)
        return replace(status, speed=self._meter.read(), workers=self._lifetime.workers())

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Return token ids of ``text``."""
        body = TokenizeBody(text, add_special, parse_special)
        return (await self._ask("POST", protocol.TOKENIZE, TokensBody, body)).tokens

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return (await self._ask("POST", protocol.COUNT_TOKENS, CountsBody, TextsBody(list(texts)))).counts

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return (await self._ask("POST", protocol.DETOKENIZE, TextBody, TokensBody(list(tokens)))).text

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        """Return one raw vector per input."""
        return (await self._ask("POST", protocol.EMBED, VectorsBody, job)).vectors

    async def generate(self, job: GenerateJob) -> AsyncGenerator[Delta | Finished, None]:
        """Produce one sequence; closing the iterator closes its request, which cancels it with the next step."""
        metered = self._meter.begin()
        with self._answers.expect() as answer:
            request = asyncio.create_task(self._request(answer, job))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)
            answer.when_full(request.cancel)
            try:
                async with _connected(self._session, self._lifetime):
                    async for item in answer:
                        if isinstance(item, Delta):
                            metered.arrived(len(item.tokens))
                        yield item
            finally:
                if not answer.finished:
                    request.cancel()

    async def _request(self, answer: ExpectedAnswer, job: GenerateJob) -> None:
        """Ask for an answer, for as long as it runs, and tell it what goes wrong."""
        path = protocol.GENERATE.format(number=answer.number)
        try:
            async with self._session.post(path, data=msgspec.json.encode(job)) as response:
                await _raise_for_error(response)
                await response.read()
        except (PollamaError, aiohttp.ClientError, OSError) as error:
            answer.put(error)

    async def close(self) -> None:
        """End the process and free all it holds; safe to call twice, and in a task that is being cancelled."""
        try:
            self._answers.close()
            await self._session.close()
        finally:
            await self._lifetime.close()

    async def wait_closed(self) -> str:
        """Return when the process has ended, with the reason ("" when ``close`` was called)."""
        reason = await self._lifetime.wait_closed()
        self._answers.close()
        await self._session.close()
        return reason

    async def _ask(self, method: str, path: str, answer: type[T], body: object = None) -> T:
        async with _connected(self._session, self._lifetime):
            return await _call(self._session, method, path, answer, body)


async def _call(session: aiohttp.ClientSession, method: str, path: str, answer: type[T], body: object = None) -> T:
    data = None if body is None else msgspec.json.encode(body)
    async with session.request(method, path, data=data) as response:
        await _raise_for_error(response)
        return _decode(await response.read(), answer)


def _decode(body: bytes, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=answer)
    except msgspec.DecodeError as error:
        raise GenerationError(f"unexpected response of the runner: {error}") from error


async def _raise_for_error(response: aiohttp.ClientResponse) -> None:
    if response.ok:
        return
    body = await response.read()
    try:
        described = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        raise GenerationError(body.decode("utf-8", "replace"), response.status) from None
    raise described.error()


@asynccontextmanager
async def _connected(session: aiohttp.ClientSession, lifetime: Lifetime) -> AsyncIterator[None]:
    """Turn a broken connection into RunnerDiedError with the last words of the process."""
    if session.closed:
        raise RunnerDiedError(await _last_words(lifetime))
    try:
        yield
    except PollamaError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise RunnerDiedError(await _last_words(lifetime) or str(error)) from error


async def _last_words(lifetime: Lifetime) -> str:
    try:
        async with asyncio.timeout(_DEATH_GRACE):
            return await lifetime.wait_closed()
    except TimeoutError:
        return ""
