"""What the measuring processes have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO


def pin(cores: Sequence[int]) -> None:
    """Keep this process on ``cores``, where the platform can; none means anywhere."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


@contextmanager
def result_stream() -> Iterator[TextIO]:
    """Lend standard output; what the libraries print there meanwhile goes to standard error."""
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with os.fdopen(output, "w") as stream:
        yield stream
