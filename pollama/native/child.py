"""What processes that load the binding have in common, most of all the short-lived ones that look at devices."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO


def pin(cores: Sequence[int]) -> None:
    """Keep this process, and threads made later, on ``cores``, where the platform can; none means anywhere."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def end_with_parent() -> None:
    """End this process when its standard input closes, as it does when the parent dies; a file is not watched."""
    kind = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        threading.Thread(target=_end_at_end_of_input, daemon=True).start()


def _end_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read: its lock would be held when the interpreter ends
        pass
    os._exit(1)


@contextmanager
def result_stream() -> Iterator[TextIO]:
    """Lend standard output; what the libraries print there meanwhile goes to standard error."""
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with os.fdopen(output, "w") as stream:
        yield stream
