"""Start of llama.cpp in this process, and its log."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pollama.native.binding import declare, ggml, llama

logger = logging.getLogger("pollama.llama")

_ERROR: Final = 4
_CONTINUE: Final = 5
_KEPT_ERRORS: Final = 20


class EngineLog:
    """Receives llama.cpp's log: everything to ``logging`` at debug, the last errors and captured lines kept."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._captures: list[list[str]] = []
        self._level = 0
        self._partial = ""

    def receive(self, level: int, text: str) -> None:
        """Take a piece of log text; a line may come in several pieces."""
        if level != _CONTINUE:
            self._level = level
        self._partial += text
        while "\n" in self._partial:
            line, self._partial = self._partial.split("\n", 1)
            self._line(line.rstrip())

    def _line(self, line: str) -> None:
        if not line.strip(". "):
            return
        logger.debug("%s", line)
        if self._level == _ERROR:
            self.errors.append(line)
        for capture in self._captures:
            capture.append(line)

    @contextmanager
    def capture(self) -> Iterator[list[str]]:
        """Collect the lines that are logged meanwhile; forget older errors."""
        lines: list[str] = []
        self.errors.clear()
        self._captures.append(lines)
        try:
            yield lines
        finally:
            self._captures.remove(lines)

    def error_text(self) -> str:
        """Return the errors since the last capture began, on one line."""
        return "; ".join(self.errors)


LOG: Final = EngineLog()
"""The log of this process: llama.cpp has one callback for everything."""


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def log_receiver(level: int, text: bytes, _data: Any) -> None:
    """Take log text from C code."""
    LOG.receive(level, text.decode("utf-8", "replace"))


def engine_version() -> str:
    """Return llama.cpp's own version."""
    version: bytes = llama.llama_version()
    return version.decode()


def limit_openmp(threads: int) -> None:
    """Let OpenMP use so many threads for the calling one where ggml does not say how many: it arranges weights for AMX.

    ``OMP_NUM_THREADS`` would have to be known before the library is loaded. Without OpenMP there is nothing to limit.
    """
    with contextlib.suppress(OSError, AttributeError):
        declare(ggml("ggml-cpu"), "omp_set_num_threads", None, ctypes.c_int)(threads)


@functools.cache
def initialise() -> None:
    """Initialise llama.cpp once; afterwards its log goes to Python."""
    os.putenv("GGML_NO_BACKTRACE", "1")  # an abort would attach a debugger to the process and hang it
    llama.llama_log_set(log_receiver, ctypes.c_void_p(0))
    llama.llama_backend_init()
