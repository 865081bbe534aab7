"""Measures one device with ggml's own kernels: ``python -m pollama.native.speed --device CPU --threads 1``.

Prints a JSON object. A process of its own: it is pinned to the device's cores and its memory is free when it ends.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pollama.native.child import end_with_parent, pin, result_stream
from pollama.native.library import initialise
from pollama.native.speed_graph import MATRIX_BYTES, WIDTH, Computer, Tensor

_WINDOWS: Final = 3
_WINDOW_SECONDS: Final = 0.25
"""Longer than two periods of a control group's CPU quota, so that a throttled device is measured as it is."""

_BATCH: Final = 512
"""Tokens of a prompt that are computed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpeed:
    """What a device can do.

    ``bandwidth`` in bytes/s of Q4_0 weights that are multiplied with one vector (what producing tokens is made of),
    ``compute`` in operations/s where they are multiplied with 512 (what reading a prompt is made of). ``share`` is
    the part of the time that the CPU time makes up: below 1 something else ran on the cores.
    """

    bandwidth: float
    compute: float
    share: float


def measure(name: str, threads: int, size: int) -> DeviceSpeed:
    """Measure a device with ``size`` bytes of weights, which should exceed its caches several times.

    Raises NativeError for a device that does not exist, does not start or has too little memory.
    """
    computer = Computer(name, threads)
    try:
        with computer.weights(max(1, size // MATRIX_BYTES)) as matrices:
            began, used = time.perf_counter(), time.process_time()
            bandwidth = MATRIX_BYTES * len(matrices) * _rate(computer, matrices, 1)
            compute = _operations(computer, matrices)
            share = (time.process_time() - used) / (time.perf_counter() - began) / max(1, threads)
    finally:
        computer.close()
    return DeviceSpeed(bandwidth=bandwidth, compute=compute, share=min(1.0, share))


def _operations(computer: Computer, matrices: Sequence[Tensor]) -> float:
    """Return operations/s, measured with as many matrices as are multiplied in one window."""
    for_one = 2 * WIDTH * WIDTH * _BATCH
    with computer.product(matrices[:1], _BATCH) as product:
        product.compute()
        seconds = _seconds(product.compute)
    count = min(len(matrices), max(1, math.floor(_WINDOW_SECONDS / seconds)))
    return for_one * count * _rate(computer, matrices[:count], _BATCH)


def _rate(computer: Computer, matrices: Sequence[Tensor], columns: int) -> float:
    """Return products per second in the best of several windows of time."""
    with computer.product(matrices, columns) as product:
        product.compute()
        return max(_window(product.compute) for _ in range(_WINDOWS))


def _window(run: Callable[[], object]) -> float:
    began, runs, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < _WINDOW_SECONDS:
        run()
        runs += 1
        elapsed = time.perf_counter() - began
    return runs / elapsed


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pollama.native.speed", description="Measure a device.")
    parser.add_argument("--device", required=True, help="the engine's name of it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cores", type=int, nargs="*", default=[], help="run on these only")
    parser.add_argument("--size", type=int, default=256 << 20, help="bytes of weights")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    end_with_parent()
    pin(arguments.cores)
    with result_stream() as stream:
        initialise()
        json.dump(asdict(measure(arguments.device, arguments.threads, arguments.size)), stream)


if __name__ == "__main__":
    main()
