"""A child process of the head: started, listened to, ended and reaped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
import psutil

from pollama.runners.output import RunnerOutput, exit_text
from pollama.types.requests import FOREVER

T = TypeVar("T")

_TERMINATE_SECONDS: Final = 3.0
_READ_BYTES: Final = 1 << 16


class ChildProcess:
    """One process with its output.

    ``ended`` is done when it is reaped, with how it ended and its last errors.
    """

    def __init__(self, process: Process, kind: str) -> None:
        self.pid = process.pid
        self.output = RunnerOutput(f"{kind} {process.pid}")
        self._process = process
        self._on_output: Callable[[], None] = lambda: None
        self.ended = asyncio.create_task(self._watch(), name=f"{kind}-{process.pid}")

    @classmethod
    async def start(
        cls, kind: str, command: Sequence[str], environ: Mapping[str, str], *, descriptors: Sequence[int] = ()
    ) -> ChildProcess:
        """Start a process, which inherits ``descriptors``. Raises OSError when there is no such program."""
        arguments = ("--parent", str(os.getpid()), "--log-level", str(_child_log_level()))
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE,
            start_new_session=True, pass_fds=descriptors,
        )  # fmt: skip
        return cls(process, kind)

    def order(self, line: bytes) -> None:
        """Hand the process the line that says what to do; one that has ended is not told."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(line)

    def is_alive(self) -> bool:
        """Ask the system, which knows of an end before ``ended`` tells it."""
        try:
            return not self.ended.done() and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    async def told(self, kind: type[T]) -> AsyncIterator[T]:
        """Yield what the process tells on standard output, in lines of JSON; what others print there is passed over."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._on_output()
            try:
                record = msgspec.json.decode(line, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            yield record

    @asynccontextmanager
    async def heard_every(self, seconds: float) -> AsyncIterator[None]:
        """Raise TimeoutError when the process writes nothing for so long."""

        def heard() -> None:
            if seconds != FOREVER and not silence.expired():
                silence.reschedule(asyncio.get_running_loop().time() + seconds)

        async with asyncio.timeout(None) as silence:
            heard()
            self._on_output = heard
            try:
                yield
            finally:
                self._on_output = lambda: None

    async def close(self) -> None:
        """End the process; returns when it is gone. Safe to call twice, and in a task that is being cancelled."""
        try:
            self._signal(signal.SIGTERM)
            await asyncio.wait([self.ended], timeout=_TERMINATE_SECONDS)
        finally:
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.ended])

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _watch(self) -> str:
        """Read the errors to their end, reap the process; return how it ended and its last errors."""
        assert self._process.stdin is not None
        await self._read_errors()
        status = await self._process.wait()
        self._process.stdin.close()
        how = exit_text(status)
        return f"{how}: {self.output.errors}" if self.output.errors else how

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_READ_BYTES):
            self._on_output()
            self.output.feed(data)
        self.output.feed(b"\n")


def _child_log_level() -> int:
    return logging.getLogger("pollama.runner").getEffectiveLevel()
