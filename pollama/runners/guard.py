"""Keeps a child process from outliving its head, and what it left on disk from outliving the child.

The head's end shows in two ways: standard input reaches its end (everywhere), and the kernel sends SIGTERM
(Linux, ``prctl(2)`` PR_SET_PDEATHSIG). SIGTERM is also how the head ends a child. It is waited for by a thread of its
own, so it works while the main thread is inside native code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1

CleanUp = Callable[[], None]


def start(parent: int, clean_up: CleanUp) -> None:
    """Watch process ``parent``; when it is gone or SIGTERM arrives, call ``clean_up`` and exit.

    Must run before any other thread is made, because threads inherit the signal mask set here.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_signal, args=(clean_up,), name="guard", daemon=True).start()
    _ask_for_signal_on_parent_death()
    if os.getppid() != parent:  # it died before prctl was called
        leave(clean_up)


def watch_input(descriptor: int, clean_up: CleanUp) -> None:
    """Exit as ``start`` does when ``descriptor``, the pipe from the parent, reaches its end."""
    threading.Thread(target=_wait_for_end, args=(descriptor, clean_up), name="guard-input", daemon=True).start()


def leave(clean_up: CleanUp) -> NoReturn:
    """End at once: native threads may be computing, and nothing of theirs is worth waiting for."""
    clean_up()
    os._exit(0)


def _ask_for_signal_on_parent_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _wait_for_signal(clean_up: CleanUp) -> None:
    signal.sigwait({signal.SIGTERM})
    leave(clean_up)


def _wait_for_end(descriptor: int, clean_up: CleanUp) -> None:
    while os.read(descriptor, 4096):
        pass
    leave(clean_up)
