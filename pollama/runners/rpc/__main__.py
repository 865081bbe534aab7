"""Entry point of a device worker: ``python -m pollama.runners.rpc``."""

from __future__ import annotations

import sys

from pollama.errors import LoadError
from pollama.runners.rpc import child


def _serve(endpoint: str, device: str, threads: int) -> None:
    # Native libraries start threads when they are imported; the guard comes first.
    from pollama.native import rpc  # noqa: PLC0415
    from pollama.native.errors import NativeError  # noqa: PLC0415

    try:
        rpc.serve(endpoint, [device], threads)
    except NativeError as error:
        raise LoadError(str(error)) from error


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], _serve))
