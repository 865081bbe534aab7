"""Runners as child processes of this one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from pollama.errors import LoadError, RunnerDiedError
from pollama.runners import protocol
from pollama.runners.client import HttpRunner
from pollama.runners.endpoint import make_socket_path, remove_socket
from pollama.runners.output import RunnerOutput, exit_text
from pollama.types.generation import RunnerStatus
from pollama.types.plans import LoadSpec
from pollama.types.requests import FOREVER

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "pollama.runners.llamacpp")

_TERMINATE_SECONDS: Final = 3.0
_READ_BYTES: Final = 1 << 16


class LocalLauncher:
    """Starts runners on this machine.

    ``environ`` is what they inherit, ``load_timeout`` the seconds a load may go on without a sign of life and
    ``threads`` the thread count where the plan states none (0 = the engine's own choice).
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        load_timeout: float = FOREVER,
        threads: int = 0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._environ = environ
        self._load_timeout = load_timeout
        self._threads = threads
        self._command = command

    async def launch(self, spec: LoadSpec) -> HttpRunner:
        """Start a runner and wait until it is ready. Cancelling stops it. Raises LoadError with the engine's reason."""
        spec = replace(spec, plan=replace(spec.plan, threads=spec.plan.threads or self._threads))
        process = await RunnerProcess.start(self._command, _environment(self._environ, spec), spec)
        try:
            await process.wait_ready(self._load_timeout)
            return await HttpRunner.connect(process.socket, process)
        except RunnerDiedError as error:
            await process.close()
            raise LoadError(str(error)) from error
        except BaseException:
            await process.close()
            raise


def _environment(inherited: Mapping[str, str], spec: LoadSpec) -> dict[str, str]:
    """Return a runner's environment: OpenMP threads sleep while they wait, and an abort starts no debugger."""
    environment = {"OMP_WAIT_POLICY": "passive", **inherited, "GGML_NO_BACKTRACE": "1"}
    if spec.plan.threads:
        environment["OMP_NUM_THREADS"] = str(spec.plan.threads)
    return environment | spec.environment


class RunnerProcess:
    """One runner process, its socket and its output."""

    def __init__(self, process: Process, socket: Path, output: RunnerOutput) -> None:
        self.socket = socket
        self._process = process
        self._output = output
        self._stall: asyncio.Timeout | None = None
        self._load_timeout = FOREVER
        self._closing = False
        self._ended = asyncio.create_task(self._watch(), name=f"runner-{process.pid}")

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str], spec: LoadSpec) -> RunnerProcess:
        """Start a process and hand it ``spec``. Raises LoadError when there is no such program."""
        socket = make_socket_path()
        arguments = ("--socket", str(socket), "--parent", str(os.getpid()), "--log-level", str(_child_log_level()))
        try:
            process = await asyncio.create_subprocess_exec(
                *command, *arguments, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE,
                start_new_session=True,
            )  # fmt: skip
        except BaseException as error:
            remove_socket(socket)
            if isinstance(error, OSError):
                raise LoadError(f"error starting llama-server: {error}") from error
            raise
        assert process.stdin is not None
        process.stdin.write(protocol.encode_spec(spec))
        return cls(process, socket, RunnerOutput(f"runner {process.pid}"))

    async def wait_ready(self, load_timeout: float) -> None:
        """Return when the model is loaded.

        Raises LoadError when the process ends before, or gives no sign of life for ``load_timeout`` seconds.
        """
        self._load_timeout = load_timeout
        try:
            async with asyncio.timeout(None) as self._stall:
                self._alive()
                ready = await self._read_statuses()
        except TimeoutError:
            raise LoadError(f"timed out waiting for llama-server to start - {self._output.errors}") from None
        finally:
            self._stall = None
        if not ready:
            raise LoadError(f"llama-server process has terminated: {await self._ended}")

    async def close(self) -> None:
        """End the process; returns when it is gone. Safe to call twice, and in a task that is being cancelled."""
        self._closing = True
        try:
            self._signal(signal.SIGTERM)
            await asyncio.wait([self._ended], timeout=_TERMINATE_SECONDS)
        finally:
            self._signal(signal.SIGKILL)
        await asyncio.wait([self._ended])

    async def wait_closed(self) -> str:
        """Return when the process has ended, with how and why ("" when ``close`` was called)."""
        how = await asyncio.shield(self._ended)
        return "" if self._closing else how

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _alive(self) -> None:
        if self._stall is not None and not self._stall.expired() and self._load_timeout != FOREVER:
            self._stall.reschedule(asyncio.get_running_loop().time() + self._load_timeout)

    async def _read_statuses(self) -> bool:
        """Read the status lines; True when the runner says that it is ready, False when it ends without."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._alive()
            with contextlib.suppress(msgspec.DecodeError):  # not ours: something that Python was told to print at start
                if msgspec.json.decode(line, type=RunnerStatus).state == "ready":
                    return True
        return False

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_READ_BYTES):
            self._alive()
            self._output.feed(data)
        self._output.feed(b"\n")

    async def _watch(self) -> str:
        """Read the output to its end, reap the process, remove its socket; return how it ended and its last errors."""
        assert self._process.stdin is not None
        await self._read_errors()
        status = await self._process.wait()
        self._process.stdin.close()
        remove_socket(self.socket)
        how = exit_text(status)
        return f"{how}: {self._output.errors}" if self._output.errors else how


def _child_log_level() -> int:
    return logging.getLogger("pollama.runner").getEffectiveLevel()
