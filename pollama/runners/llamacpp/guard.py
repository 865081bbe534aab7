"""Keeps a runner from outliving its head, and its socket from outliving the runner.

The head's end shows in two ways: standard input reaches its end (everywhere), and the kernel sends SIGTERM
(Linux, ``prctl(2)`` PR_SET_PDEATHSIG). SIGTERM is also how the head ends a runner. It is waited for by a thread of its
own, so it works while the main thread is inside native code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from pollama.runners.endpoint import remove_socket

_PR_SET_PDEATHSIG: Final = 1


def start(socket: Path, parent: int) -> None:
    """Watch process ``parent``; when it is gone or SIGTERM arrives, remove ``socket`` with its folder and exit.

    Must run before any other thread is made, because threads inherit the signal mask set here.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_signal, args=(socket,), name="guard", daemon=True).start()
    _ask_for_signal_on_parent_death()
    if os.getppid() != parent:  # it died before prctl was called
        _leave(socket)


def watch_input(descriptor: int, socket: Path) -> None:
    """Exit as ``start`` does when ``descriptor``, the pipe from the parent, reaches its end."""
    threading.Thread(target=_wait_for_end, args=(descriptor, socket), name="guard-input", daemon=True).start()


def _ask_for_signal_on_parent_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _wait_for_signal(socket: Path) -> None:
    signal.sigwait({signal.SIGTERM})
    _leave(socket)


def _wait_for_end(descriptor: int, socket: Path) -> None:
    while os.read(descriptor, 4096):
        pass
    _leave(socket)


def _leave(socket: Path) -> None:
    """End at once: native threads may be computing, and nothing of theirs is worth waiting for."""
    remove_socket(socket)
    os._exit(0)
