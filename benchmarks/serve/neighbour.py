"""Another program that keeps a core busy, as on a desktop in use."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

_BURN = "while True: pass"


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy meanwhile, with the priority that any program has."""
    with subprocess.Popen([sys.executable, "-c", _BURN], stdin=subprocess.DEVNULL) as burner:
        try:
            yield
        finally:
            burner.kill()
