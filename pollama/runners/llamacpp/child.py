"""The life of a runner process, from its arguments to its end.

Standard input brings one line, the LoadSpec, and stays open as long as the head lives. Standard output carries
one RunnerStatus per line until the model is ready. Standard error is the log; ``error: ...`` on it says why the
model cannot be served, and the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import uvloop
from aiohttp import web

from pollama.errors import GenerationError, PollamaError
from pollama.runners.endpoint import remove_socket
from pollama.runners.llamacpp import app, guard
from pollama.runners.protocol import decode_spec
from pollama.types.generation import RunnerStatus
from pollama.types.plans import LoadSpec

_PROGRESS_STEP: Final = 0.01
_FAILURE_POLL_SECONDS: Final = 0.5


class StartableEngine(app.Engine, Protocol):
    """An engine that can be run and stopped."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work; results are delivered in ``loop``."""
        ...

    def close(self) -> None:
        """Stop and free everything."""
        ...


EngineLoader = Callable[[LoadSpec, Callable[[float], None]], StartableEngine]
"""Loads a model, blocking; calls back with the share that is loaded. Raises LoadError or WeightsError."""


def run(arguments: Sequence[str], load: EngineLoader) -> int:
    """Serve one model until the head goes away; returns the exit status when the model cannot be served (any more)."""
    parser = argparse.ArgumentParser(description="Runner process of pollama; started by the server.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    parser.add_argument("--parent", type=int, required=True, help="process that this one must not outlive")
    parser.add_argument("--log-level", type=int, default=logging.INFO, help="level of Python's logging")
    options = parser.parse_args(arguments)
    guard.start(options.socket, options.parent)
    logging.basicConfig(level=options.log_level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        spec = decode_spec(sys.stdin.buffer.readline())
    except msgspec.DecodeError as error:
        return _fail(f"invalid load specification: {error}")
    guard.watch_input(sys.stdin.fileno(), options.socket)
    report = StatusReport()
    _pin(spec.cores)
    try:
        uvloop.run(_serve(spec, load, options.socket, report))
    except PollamaError as error:
        return _fail(str(error))
    finally:
        remove_socket(options.socket)
    return 0


class StatusReport:
    """Standard output, kept for status lines; what else writes there goes to standard error from now on."""

    def __init__(self) -> None:
        self._output = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._progress = -1.0

    def send(self, status: RunnerStatus) -> None:
        """Tell the head; a head that is gone is the guard's business."""
        with contextlib.suppress(OSError):
            os.write(self._output, msgspec.json.encode(status) + b"\n")

    def progress(self, share: float) -> None:
        """Tell the head how much is loaded, in steps that are worth a line."""
        if share >= self._progress + _PROGRESS_STEP:
            self._progress = share
            self.send(RunnerStatus(state="loading", progress=share))


def _pin(cores: Sequence[int]) -> None:
    """Keep this process on ``cores``; threads made later inherit it. Platforms that cannot do it ignore it."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _fail(reason: str) -> int:
    sys.stderr.write(f"error: {reason}\n".replace("\n", " ").rstrip() + "\n")
    return 1


async def _serve(spec: LoadSpec, load: EngineLoader, socket: Path, report: StatusReport) -> None:
    state = app.RunnerState()

    def on_progress(share: float) -> None:
        state.progress = share
        report.progress(share)

    runner = web.AppRunner(app.build_app(state), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        engine = await asyncio.to_thread(load, spec, on_progress)
        engine.start(asyncio.get_running_loop())
        state.engine = engine
        report.send(RunnerStatus(state="ready", progress=1.0))
        await _failure(engine)
    finally:
        await runner.cleanup()


async def _failure(engine: app.Engine) -> None:
    """Raise GenerationError when the engine is beyond help: a new process can serve again, this one cannot."""
    while (status := engine.status()).state != "failed":  # noqa: ASYNC110  (the engine tells nobody)
        await asyncio.sleep(_FAILURE_POLL_SECONDS)
    raise GenerationError(status.error)
