"""What a runner writes to its standard error: each line goes to the log, the telling ones are kept."""

from __future__ import annotations

import logging
import re
import signal
from collections import deque
from typing import Final

log = logging.getLogger("pollama.runner")

KEPT_BYTES: Final = 8192

_ERROR: Final = re.compile(
    "panic: |fatal error: |error: |Error: |CUDA error|ROCm error|cudaMalloc failed|error loading model|GGML_ASSERT|"
    "llama_init_from_model:"
)
_OUT_OF_MEMORY: Final = re.compile(
    "out of memory|out of device memory|cudaMalloc failed|hipMalloc failed|failed to allocate|allocation failed|"
    "not enough memory|insufficient memory|vk_error_out_of_device_memory|erroroutofmemory",
    re.IGNORECASE,
)
_LEVEL: Final = re.compile("(DEBUG|INFO|WARNING|ERROR|CRITICAL) ")


class RunnerOutput:
    """Takes the lines of one runner."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._errors: deque[str] = deque()
        self._size = 0
        self._partial = b""

    @property
    def errors(self) -> str:
        """The last lines that tell of a failure, oldest first; at most KEPT_BYTES."""
        return "\n".join(self._errors)

    def feed(self, data: bytes) -> None:
        """Take output as it comes; a line is complete at its line break or at KEPT_BYTES."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > KEPT_BYTES:
            lines.append(self._partial)
            self._partial = b""
        for line in filter(None, (line.decode("utf-8", "replace").rstrip() for line in lines)):
            self.add(line)

    def add(self, line: str) -> None:
        """Log ``line``; keep it, from the telling word on, when it tells of a failure."""
        level = _LEVEL.match(line)
        text = line[level.end() :] if level else line
        found = _ERROR.search(text)
        if found or _OUT_OF_MEMORY.search(text):
            self._keep(text[found.start() :] if found else text)
        log.log(logging.getLevelNamesMapping()[level[1]] if level else logging.DEBUG, "%s: %s", self._name, text)

    def _keep(self, text: str) -> None:
        self._errors.append(text[:KEPT_BYTES])
        self._size += len(self._errors[-1])
        while self._size > KEPT_BYTES:
            self._size -= len(self._errors.popleft())


def exit_text(status: int) -> str:
    """Say how a process ended, in the words of Go: ``exit status 1``, ``signal: killed``."""
    if status >= 0:
        return f"exit status {status}"
    return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
