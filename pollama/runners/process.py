"""Runners as child processes of this one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pollama.errors import LoadError, RunnerDiedError
from pollama.runners import protocol, workers
from pollama.runners.client import HttpRunner
from pollama.runners.spare import RunnerSource, WaitingRunner, child_environment
from pollama.runners.workers import Workers
from pollama.types.generation import RunnerStatus, WorkerUse
from pollama.types.plans import LoadSpec
from pollama.types.requests import FOREVER

_WORKER_GRACE: Final = 0.5
"""Seconds that a worker gets to be seen dead when its runner has died, for that may be why."""


class LocalLauncher:
    """Loads models on this machine, in processes that come from ``source``.

    ``environ`` is what device workers inherit, ``worker_command`` starts one. ``load_timeout`` is the seconds that a
    load may go on without a sign of life, ``threads`` the number where the plan states none (0 = the engine's choice).
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        source: RunnerSource | None = None,
        *,
        load_timeout: float = FOREVER,
        threads: int = 0,
        worker_command: Sequence[str] = workers.COMMAND,
    ) -> None:
        self._source = source or RunnerSource(environ)
        self._worker_environ = child_environment(environ)
        self._load_timeout = load_timeout
        self._threads = threads
        self._worker_command = worker_command

    async def launch(self, spec: LoadSpec) -> HttpRunner:
        """Start a runner and its device workers, and wait until it is ready. Cancelling stops them.

        Raises LoadError with the engine's reason.
        """
        spec = replace(spec, plan=replace(spec.plan, threads=spec.plan.threads or self._threads))
        with self._source.loading():
            return await self._load(spec)

    async def _load(self, spec: LoadSpec) -> HttpRunner:
        process = await self._start(spec)
        try:
            await process.wait_ready(self._load_timeout)
            return await HttpRunner.connect(process.socket, process.take_answers(), process)
        except RunnerDiedError as error:
            await process.close()
            raise LoadError(str(error)) from error
        except BaseException:
            await process.close()
            raise

    async def _start(self, spec: LoadSpec) -> RunnerProcess:
        """Return a runner process that has been told ``spec``. Raises LoadError when there is no such program."""
        crew = await Workers.start(self._worker_command, self._worker_environ, spec.stages, self._load_timeout)
        try:
            waiting = await self._source.get()
        except BaseException as error:
            await crew.close()
            if isinstance(error, OSError):
                raise LoadError(f"error starting llama-server: {error}") from error
            raise
        waiting.process.order(protocol.encode_spec(crew.connect(spec)))
        return RunnerProcess(waiting, crew)


class RunnerProcess:
    """One runner process, its socket and its device workers: when one of them ends, all do."""

    def __init__(self, started: WaitingRunner, crew: Workers) -> None:
        self.socket = started.socket
        self.take_answers = started.take_answers
        self._process = started.process
        self._crew = crew
        self._closing = False
        self._ended = asyncio.create_task(self._watch(), name=f"replica-{self._process.pid}")

    async def wait_ready(self, load_timeout: float) -> None:
        """Return when the model is loaded.

        Raises LoadError when a process ends before, or the runner gives no sign of life for ``load_timeout`` seconds.
        """
        try:
            async with self._process.heard_every(load_timeout):
                ready = await self._read_statuses()
        except TimeoutError:
            errors = self._process.output.errors
            raise LoadError(f"timed out waiting for llama-server to start - {errors}") from None
        if not ready:
            raise LoadError(f"llama-server process has terminated: {await self._ended}")

    async def _read_statuses(self) -> bool:
        """Read the status lines; True when the runner says that it is ready, False when it ends without."""
        async for status in self._process.told(RunnerStatus):
            if status.state == "ready":
                return True
        return False

    def workers(self) -> list[WorkerUse]:
        """Return what the device workers did so far."""
        return self._crew.uses()

    async def close(self) -> None:
        """End the processes; returns when they are gone. Safe to call twice, and in a task that is being cancelled."""
        self._closing = True
        try:
            await self._process.close()
        finally:
            await asyncio.wait([self._ended])

    async def wait_closed(self) -> str:
        """Return when the processes have ended, with how and why ("" when ``close`` was called)."""
        how = await asyncio.shield(self._ended)
        return "" if self._closing else how

    async def _watch(self) -> str:
        """Wait for the first of the processes to end, end and reap the others; return what ended."""
        how = await self._first_end()
        await self._process.close()
        await self._crew.close()
        return how

    async def _first_end(self) -> str:
        """Return how the runner ended, or the worker whose end it does not survive."""
        if not self._crew:
            return await asyncio.shield(self._process.ended)
        lost = asyncio.create_task(self._crew.lost())
        await asyncio.wait([self._process.ended, lost], return_when=asyncio.FIRST_COMPLETED)
        if not self._closing:
            await asyncio.wait([lost], timeout=_WORKER_GRACE)
        if lost.done():
            return lost.result()
        lost.cancel()
        return self._process.ended.result()
