"""Another program that keeps a core busy, as on a desktop in use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_BURN = "while True: pass"


@contextlib.contextmanager
def busy_core(core: int | None = None) -> Iterator[None]:
    """Keep one core busy meanwhile, with the priority that any program has; ``core``: that one and no other."""
    with subprocess.Popen([sys.executable, "-c", _BURN], stdin=subprocess.DEVNULL) as burner:
        try:
            if core is not None:
                os.sched_setaffinity(burner.pid, {core})
            yield
        finally:
            burner.kill()
