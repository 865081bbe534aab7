"""Entry point of the runner process: ``python -m pollama.runners.llamacpp``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pollama.runners.llamacpp import child
from pollama.types.plans import LoadSpec


def _load(spec: LoadSpec, on_progress: Callable[[float], None]) -> child.StartableEngine:
    # Native libraries start threads when they are imported; the guard and the socket come first.
    from pollama.runners.llamacpp.engine import Engine  # noqa: PLC0415

    return Engine.load(spec, on_progress)


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], _load))
