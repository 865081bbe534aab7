"""Runner processes that have not been told what to load, and the one that is kept in spare.

What a runner imports takes longer than loading a small model. So one process is started ahead of need; it has imported
everything, has touched no device, and waits for its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pollama.runners.endpoint import make_socket_path, remove_socket
from pollama.runners.llamacpp.threads import kernel_counts
from pollama.runners.supervised import ChildProcess

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "pollama.runners.llamacpp")

_SPINS: Final = "30000"
"""How often a thread of libgomp looks whether it can go on: for about a millisecond, longer than threads wait for each
other where all of them run."""

_PAUSE: Final = 2.0
"""Seconds after a load in which the answer that it was for has the processor to itself."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what processes with an engine inherit where the head has ``environ``.

    Threads of OpenMP sleep while they wait, numpy makes none (they would not be on the cores that the order names), and
    an abort starts no debugger.
    """
    return {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1", **environ, "GGML_NO_BACKTRACE": "1"}


def runner_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what runners inherit: threads of OpenMP wait awake for a while before they sleep.

    Only where a runner can see that they take the processor from others (see ``ThreadGovernor``), and where ``environ``
    does not say how they are to wait.
    """
    told = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & environ.keys()
    awake = {"GOMP_SPINCOUNT": _SPINS} if kernel_counts() and not told else {}
    return child_environment(environ) | awake


class WaitingRunner:
    """A runner process that waits for its order, with the path on which it will listen and the socket of its answers.

    Both end with the process.
    """

    def __init__(self, process: ChildProcess, path: Path, answers: socket.socket) -> None:
        self.process = process
        self.socket = path
        self.answers = answers
        process.ended.add_done_callback(self._clean_up)

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str]) -> WaitingRunner:
        """Start a process. Raises OSError when there is no such program."""
        path = make_socket_path()
        ours, its = socket.socketpair()
        options = ("--socket", str(path), "--answers", str(its.fileno()))
        try:
            process = await ChildProcess.start("runner", (*command, *options), environ, descriptors=(its.fileno(),))
        except BaseException:
            remove_socket(path)
            ours.close()
            raise
        finally:
            its.close()
        return cls(process, path, ours)

    def take_answers(self) -> socket.socket:
        """Return the head's end of the answers, which is then the caller's to close."""
        return socket.socket(fileno=self.answers.detach())

    def _clean_up(self, _: object) -> None:
        remove_socket(self.socket)
        self.answers.close()


class RunnerSource:
    """Where runner processes come from. Between loads, one is in spare for as long as ``in_spare`` lasts.

    ``environ`` is what they inherit, ``command`` starts one, ``pause`` is the seconds from the end of a load to the
    start of the next spare one.
    """

    def __init__(self, environ: Mapping[str, str], command: Sequence[str] = COMMAND, *, pause: float = _PAUSE) -> None:
        self._environ = runner_environment(environ)
        self._command = command
        self._pause = pause
        self._keeps = False
        self._loads = 0
        self._timer: asyncio.TimerHandle | None = None
        self._starting: asyncio.Task[None] | None = None
        self._spare: WaitingRunner | None = None

    @contextlib.asynccontextmanager
    async def in_spare(self) -> AsyncIterator[None]:
        """Start a process in spare, and another one after each load; at the end the one that is left is ended."""
        self._keeps = True
        await self._refill()
        try:
            yield
        finally:
            self._keeps = False
            self._stop_timer()
            if self._starting is not None:
                await asyncio.wait([self._starting])
            spare, self._spare = self._spare, None
            if spare is not None:
                await spare.process.close()

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Start no process in spare meanwhile: it would take time from the load."""
        self._stop_timer()
        self._loads += 1
        try:
            yield
        finally:
            self._loads -= 1
            if self._keeps and not self._loads:
                self._timer = asyncio.get_running_loop().call_later(self._pause, self._begin_refill)

    async def get(self) -> WaitingRunner:
        """Return a process that waits for its order: the one in spare, else a new one.

        Raises OSError when there is no such program.
        """
        spare, self._spare = self._spare, None
        if spare is not None and spare.process.is_alive():
            return spare
        return await WaitingRunner.start(self._command, self._environ)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin_refill(self) -> None:
        self._starting = asyncio.create_task(self._refill(), name="spare runner")

    async def _refill(self) -> None:
        if self._spare is not None and self._spare.process.is_alive():
            return
        try:
            self._spare = await WaitingRunner.start(self._command, self._environ)
        except OSError as error:
            log.warning("no runner can be kept in spare: %s", error)
