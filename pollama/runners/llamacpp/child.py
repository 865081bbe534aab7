"""The life of a runner process, from its arguments to its end.

It imports what it needs, is told a LoadSpec, and says one RunnerStatus per line until the model is ready.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import uvloop
from aiohttp import web

from pollama.errors import GenerationError, PollamaError
from pollama.native.child import pin
from pollama.runners import entry
from pollama.runners.answers import AnswerWriter
from pollama.runners.endpoint import remove_socket
from pollama.runners.llamacpp import app
from pollama.runners.protocol import decode_spec
from pollama.types.generation import RunnerStatus
from pollama.types.plans import LoadSpec

_PROGRESS_STEP: Final = 0.01
_FAILURE_POLL_SECONDS: Final = 0.5


class StartableEngine(app.Engine, Protocol):
    """An engine that can be run and stopped."""

    def start(self, flush: Callable[[], None]) -> None:
        """Begin to work; ``flush`` is called when sinks have got something."""
        ...

    def close(self) -> None:
        """Stop and free everything."""
        ...


EngineLoader = Callable[[LoadSpec, Callable[[float], None]], StartableEngine]
"""Loads a model, blocking; calls back with the share that is loaded. Raises LoadError or WeightsError."""


def run(arguments: Sequence[str], import_engine: Callable[[], EngineLoader]) -> int:
    """Serve one model until the head goes away; returns the exit status when the model cannot be served (any more).

    ``import_engine`` is called before the order comes: a process may be started ahead of need.
    """
    parser = entry.argument_parser("Runner process of pollama; started by the server.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    parser.add_argument("--answers", type=int, required=True, help="descriptor of the socket that answers are told on")
    options = parser.parse_args(arguments)
    clean_up = functools.partial(remove_socket, options.socket)
    entry.begin(options, clean_up)
    load = import_engine()
    try:
        spec = decode_spec(entry.wait_for_order(clean_up))
    except msgspec.DecodeError as error:
        return entry.fail(f"invalid load specification: {error}")
    report = LoadReport()
    pin(spec.cores)
    try:
        uvloop.run(_serve(spec, load, options.socket, socket.socket(fileno=options.answers), report))
    except PollamaError as error:
        return entry.fail(str(error))
    finally:
        remove_socket(options.socket)
    return 0


class LoadReport:
    """Tells the head how far a load is, in steps that are worth a line."""

    def __init__(self) -> None:
        self._lines = entry.StatusLines()
        self._progress = -1.0

    def progress(self, share: float) -> None:
        """Tell that ``share`` of the weights is loaded."""
        if share >= self._progress + _PROGRESS_STEP:
            self._progress = share
            self._send(RunnerStatus(state="loading", progress=share))

    def ready(self) -> None:
        """Tell that requests can come."""
        self._send(RunnerStatus(state="ready", progress=1.0))

    def _send(self, status: RunnerStatus) -> None:
        self._lines.send(msgspec.json.encode(status))


async def _serve(
    spec: LoadSpec, load: EngineLoader, listening: Path, answering: socket.socket, report: LoadReport
) -> None:
    answers = AnswerWriter(answering, asyncio.get_running_loop())
    state = app.RunnerState(answers)

    def on_progress(share: float) -> None:
        state.progress = share
        report.progress(share)

    runner = web.AppRunner(app.build_app(state), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(listening)).start()
        engine = await asyncio.to_thread(load, spec, on_progress)
        engine.start(answers.flush)
        state.engine = engine
        report.ready()
        await _failure(engine)
    finally:
        await runner.cleanup()
        answers.close()


async def _failure(engine: app.Engine) -> None:
    """Raise GenerationError when the engine is beyond help: a new process can serve again, this one cannot."""
    while (status := engine.status()).state != "failed":  # noqa: ASYNC110  (the engine tells nobody)
        await asyncio.sleep(_FAILURE_POLL_SECONDS)
    raise GenerationError(status.error)
