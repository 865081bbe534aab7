"""Entry point of the runner process: ``python -m pollama.runners.llamacpp``."""

from __future__ import annotations

import sys

from pollama.runners.llamacpp import child


def _import_engine() -> child.EngineLoader:
    # Native libraries may start threads when they are imported; the guard comes first.
    from pollama.runners.llamacpp.engine import Engine  # noqa: PLC0415

    return Engine.load


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], _import_engine))
