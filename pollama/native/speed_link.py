"""Measures the way to a device's memory: ``python -m pollama.native.speed_link --device CUDA1``.

With ``--from CUDA0`` it is the way from that device, without it from this process. With ``--cores 0 --to 1`` it is
the way to a device that another process serves on core 1: what a split over two processes of this machine pays for each
hand-over. Prints a JSON object.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from pollama.native import rpc
from pollama.native.child import end_with_parent, pin, result_stream
from pollama.native.errors import NativeError
from pollama.native.library import initialise
from pollama.native.speed_graph import Computer, Tensor

_SECONDS: Final = 0.25
_LARGE: Final = 8 << 20
"""As much as a batch of activations; ggml compares hashes of what is larger before it sends it."""
_WIDTH: Final = 64
_OPERATIONS: Final = 64
"""About as many as a few layers have."""

_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpeed:
    """``bandwidth`` towards the device in bytes/s; ``latency`` in seconds: what a hand-over costs besides."""

    bandwidth: float
    latency: float


def measure(name: str) -> LinkSpeed:
    """Measure the way to the memory of the device ``name``. Raises NativeError for one that cannot be used."""
    content, vector = np.zeros(_LARGE, dtype=np.uint8), np.ones(_WIDTH, dtype=np.float32)
    with closing(Computer(name, 1)) as computer, computer.tensor(_LARGE) as target:
        return _link(computer, target, lambda: target.write(content), lambda: target.write(vector))


def measure_between(source: str, name: str) -> LinkSpeed:
    """Measure the way from one device to another. Raises NativeError for one that cannot be used."""
    with ExitStack() as stack:
        sender, computer = (stack.enter_context(closing(Computer(device, 1))) for device in (source, name))
        large, small = (stack.enter_context(sender.tensor(size)) for size in (_LARGE, 4 * _WIDTH))
        target, vector = (stack.enter_context(computer.tensor(size)) for size in (_LARGE, 4 * _WIDTH))
        return _link(computer, target, lambda: large.copy_to(target), lambda: small.copy_to(vector))


def _link(computer: Computer, target: Tensor, send: Callable[[], None], send_little: Callable[[], None]) -> LinkSpeed:
    """Time what is sent to ``target``, and hand-overs.

    A hand-over is a small vector sent, a graph of operations that cost next to nothing computed, a number read.
    """
    number = np.zeros(1, dtype=np.float32)

    def transfer() -> None:
        send()
        target.read(number)  # waits until it has arrived: some devices only queue what is written

    round_trip, transferred = _seconds(lambda: target.read(number)), _seconds(transfer)
    with computer.weights(_OPERATIONS, _WIDTH) as matrices, computer.product(matrices, 1, _WIDTH) as product:

        def hand_over() -> None:
            send_little()
            product.compute()

        latency = _seconds(hand_over)
    return LinkSpeed(bandwidth=_LARGE / max(transferred - round_trip, 1e-9), latency=latency)


def _seconds(run: Callable[[], object]) -> float:
    """Return the time of the fastest run."""
    run()
    end = time.perf_counter() + _SECONDS
    fastest = float("inf")
    while time.perf_counter() < end:
        began = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def measure_served(cores: Sequence[int]) -> LinkSpeed:
    """Measure the way to a device on ``cores`` that another process serves. Raises NativeError when it does not."""
    endpoint = f"127.0.0.1:{_free_port()}"
    command = (sys.executable, "-m", "pollama.native.speed_link", "--serve", endpoint, "--to", *map(str, cores))
    # The server ends with this process: then its standard input closes.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(endpoint, server)
            return measure(rpc.add_server(endpoint)[0])
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    """Return when ``endpoint`` accepts: a refused connection would abort this process inside ggml."""
    host, _, port = endpoint.partition(":")
    end = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, int(port))):
            return
        time.sleep(_POLL_SECONDS)
    raise NativeError("the device worker does not start")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pollama.native.speed_link", description="Measure the way to a device.")
    parser.add_argument("--device", default="", help="the engine's name of it; else a CPU device in another process")
    parser.add_argument("--from", default="", dest="source", help="the engine's name of another one, where it begins")
    parser.add_argument("--cores", type=int, nargs="*", default=[], help="run on these only")
    parser.add_argument("--to", type=int, nargs="*", default=[], help="cores of the other process")
    parser.add_argument("--serve", default="", metavar="HOST:PORT", help="be the other process")
    return parser.parse_args()


def main() -> None:
    """Measure and print, or serve."""
    arguments = _arguments()
    end_with_parent()
    if arguments.serve:
        pin(arguments.to)
        rpc.serve(arguments.serve, ["CPU"], 1)
        return
    pin(arguments.cores)
    with result_stream() as stream:
        initialise()
        json.dump(asdict(_measured(arguments)), stream)


def _measured(arguments: argparse.Namespace) -> LinkSpeed:
    if not arguments.device:
        return measure_served(arguments.to)
    return measure_between(arguments.source, arguments.device) if arguments.source else measure(arguments.device)


if __name__ == "__main__":
    main()
