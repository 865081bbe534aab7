"""The processes of a server, told apart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.e2e.server import Server

RUNNER = "pollama.runners.llamacpp"


def processes(server: Server, module: str) -> list[psutil.Process]:
    """Return the living children of a server that run ``module``, the oldest first."""
    return _those(server.process.pid, lambda command: module in command)


def children(module: str) -> list[psutil.Process]:
    """Return the same of a server inside this process."""
    return _those(None, lambda command: module in command)


def runners(server: Server) -> list[psutil.Process]:
    """Return the runners that were told what to load, the oldest first; the one in spare has not made its socket."""
    return _those(
        server.process.pid, lambda command: RUNNER in command and Path(command[command.index("--socket") + 1]).exists()
    )


def _those(head: int | None, wanted: Callable[[list[str]], bool]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(head).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if wanted(child.cmdline()):
                found.append((child.create_time(), child))
    return [child for _, child in sorted(found, key=lambda pair: pair[0])]


def leaks(process: psutil.Process, files: int, kills: int) -> bool:
    """Tell whether a process that had ``files`` open has more than a few that come and go, after so many kills."""
    return process.num_fds() - files >= 5 + kills // 2
