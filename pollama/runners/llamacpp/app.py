"""The HTTP face of one engine, as an aiohttp application.

It answers from the moment the process runs: while the model loads only ``/status`` has something to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from pollama.errors import BadRequestError, LoadError, PollamaError
from pollama.runners import protocol
from pollama.runners.answers import AnswerWriter
from pollama.runners.protocol import CountsBody, ErrorBody, TextBody, TextsBody, TokenizeBody, TokensBody, VectorsBody
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, RunnerInfo, RunnerStatus

T = TypeVar("T")
Sink = Callable[[Delta | Finished | Exception], None]


class Engine(Protocol):
    """What the application needs of an engine."""

    @property
    def info(self) -> RunnerInfo:
        """Facts fixed at load."""
        ...

    def submit(self, job: GenerateJob, sink: Sink) -> Any:
        """Start a sequence and return its ticket; ``sink`` is called on a thread of the engine's choice."""
        ...

    def cancel(self, ticket: Any) -> None:
        """End a sequence with the next step."""
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return token ids; safe from any thread."""
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Return the text of token ids; safe from any thread."""
        ...

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        """Return one vector per input."""
        ...

    def status(self) -> RunnerStatus:
        """Return the current state."""
        ...


class RunnerState:
    """The engine of this process, once it is loaded, and the way that its answers go."""

    def __init__(self, answers: AnswerWriter) -> None:
        self.answers = answers
        self._engine: Engine | None = None
        self.progress = 0.0

    @property
    def engine(self) -> Engine:
        """The loaded engine. Raises LoadError while there is none."""
        if self._engine is None:
            raise LoadError("the model is still loading")
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine = engine

    def status(self) -> RunnerStatus:
        """Return the engine's status, or how far loading is."""
        return self._engine.status() if self._engine else RunnerStatus(state="loading", progress=self.progress)


def build_app(state: RunnerState) -> web.Application:
    """Return the application that serves ``state``."""
    handlers = _Handlers(state)
    app = web.Application(middlewares=[_errors], client_max_size=protocol.MAX_BODY_BYTES)
    app.router.add_get(protocol.STATUS, handlers.status)
    app.router.add_get(protocol.INFO, handlers.info)
    app.router.add_post(protocol.TOKENIZE, handlers.tokenize)
    app.router.add_post(protocol.COUNT_TOKENS, handlers.count_tokens)
    app.router.add_post(protocol.DETOKENIZE, handlers.detokenize)
    app.router.add_post(protocol.GENERATE.replace("{number}", r"{number:\d+}"), handlers.generate)
    app.router.add_post(protocol.EMBED, handlers.embed)
    return app


class _Handlers:
    """What the routes answer. Tokens are counted on threads: a long text must not hold up the streams."""

    def __init__(self, state: RunnerState) -> None:
        self._state = state

    async def status(self, _: web.Request) -> web.Response:
        return _json(self._state.status())

    async def info(self, _: web.Request) -> web.Response:
        return _json(self._state.engine.info)

    async def tokenize(self, request: web.Request) -> web.Response:
        body = await _body(request, TokenizeBody)
        tokens = await asyncio.to_thread(
            self._state.engine.tokenize, body.text, add_special=body.add_special, parse_special=body.parse_special
        )
        return _json(TokensBody(tokens))

    async def count_tokens(self, request: web.Request) -> web.Response:
        texts = (await _body(request, TextsBody)).texts
        return _json(CountsBody(await asyncio.to_thread(_token_counts, self._state.engine, texts)))

    async def detokenize(self, request: web.Request) -> web.Response:
        body = await _body(request, TokensBody)
        return _json(TextBody(await asyncio.to_thread(self._state.engine.detokenize, body.tokens)))

    async def embed(self, request: web.Request) -> web.Response:
        job = await _body(request, EmbedJob)
        return _json(VectorsBody(await self._state.engine.embed(job)))

    async def generate(self, request: web.Request) -> web.Response:
        """Run one sequence to its end. The server cancels this when the client is gone, which ends the sequence."""
        job = await _body(request, GenerateJob)
        number = int(request.match_info["number"])
        engine, answers = self._state.engine, self._state.answers
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def sink(item: Delta | Finished | Exception) -> None:
            answers.put(number, item)
            if not isinstance(item, Delta) and not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        ticket = engine.submit(job, sink)
        try:
            await ended.wait()
        finally:
            engine.cancel(ticket)
        return web.Response()


def _token_counts(engine: Engine, texts: list[str]) -> list[int]:
    return [len(engine.tokenize(text, add_special=False, parse_special=True)) for text in texts]


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except PollamaError as error:
        return _json(ErrorBody.of(error), status=error.status)


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"invalid body of {request.path}: {error}") from error


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)
