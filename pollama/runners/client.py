"""A runner as its user sees it: the Runner port over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from pollama.errors import GenerationError, PollamaError, RunnerDiedError
from pollama.runners import protocol
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

    def __init__(self, session: aiohttp.ClientSession, lifetime: Lifetime, info: RunnerInfo) -> None:
        self._session = session
        self._lifetime = lifetime
        self._info = info
        self._meter = Meter(asyncio.get_running_loop().time)

    @classmethod
    async def connect(cls, socket: Path, lifetime: Lifetime) -> HttpRunner:
        """Connect to a runner that is ready. Raises RunnerDiedError or the runner's own error."""
        session = aiohttp.ClientSession(
            base_url="http://runner",
            connector=aiohttp.UnixConnector(str(socket), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        try:
            async with _connected(session, lifetime):
                info = await _call(session, "GET", protocol.INFO, RunnerInfo)
        except BaseException:
            await session.close()
            raise
        return cls(session, lifetime, info)

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
        """Produce one sequence; closing the iterator closes the connection, which cancels it with the next step."""
        answer = self._meter.begin()
        async with (
            _connected(self._session, self._lifetime),
            self._session.post(protocol.GENERATE, data=msgspec.json.encode(job)) as response,
        ):
            try:
                await _raise_for_error(response)
                async for line in _lines(response.content):
                    item = protocol.decode_frame(line)
                    if isinstance(item, Delta):
                        answer.arrived(len(item.tokens))
                    yield item
                    if isinstance(item, Finished):
                        return
                raise aiohttp.ClientPayloadError("the answer ended early")
            finally:
                response.close()

    async def close(self) -> None:
        """End the process and free all it holds; safe to call twice, and in a task that is being cancelled."""
        try:
            await self._session.close()
        finally:
            await self._lifetime.close()

    async def wait_closed(self) -> str:
        """Return when the process has ended, with the reason ("" when ``close`` was called)."""
        reason = await self._lifetime.wait_closed()
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


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines of any length (``readline`` refuses long ones)."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


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
