"""The life of a device worker, from its arguments to its end.

It is told a ServeOrder, and says the port on which it listens, once. The kernel chooses the port, so no other program
can have it; the worker reads from the kernel's table which one it is. Nobody may connect to find out: the first client
is the only one that is served.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import psutil

from pollama.errors import PollamaError
from pollama.native.child import pin
from pollama.runners import entry
from pollama.runners.protocol import ServeOrder, WorkerReady

_HOST: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.01

DeviceServer = Callable[[str, str, int], None]
"""Serves a device on ``host:port`` with so many threads; returns when that is not possible (any more)."""


def run(arguments: Sequence[str], serve: DeviceServer) -> int:
    """Serve one device until the head goes away; returns the exit status when it cannot be served (any more)."""
    options = entry.argument_parser("Device worker of pollama; started by the server.").parse_args(arguments)
    entry.begin(options)
    try:
        order = msgspec.json.decode(entry.wait_for_order(), type=ServeOrder)
    except msgspec.DecodeError as error:
        return entry.fail(f"invalid order: {error}")
    lines = entry.StatusLines()
    pin(order.cores)
    threading.Thread(target=_tell_port, args=(lines,), name="port", daemon=True).start()
    try:
        serve(f"{_HOST}:0", order.device, order.threads)
    except PollamaError as error:
        return entry.fail(str(error))
    return entry.fail(f"{order.device} can no longer be served")


def _tell_port(lines: entry.StatusLines) -> None:
    lines.send(msgspec.json.encode(WorkerReady(endpoint=f"{_HOST}:{_listening_port()}")))


def _listening_port() -> int:
    """Wait until this process listens, and return where. Nothing tells when that is."""
    process = psutil.Process()
    while True:
        for link in process.net_connections("tcp4"):
            if link.status == psutil.CONN_LISTEN:
                return int(link.laddr.port)
        time.sleep(_POLL_SECONDS)
