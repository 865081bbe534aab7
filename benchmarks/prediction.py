"""Compares what a model does on one CPU device with what the measured speed of the device predicts.

python -m benchmarks.prediction MODEL.gguf [--cores N ...] [--rounds N]

Producing tokens: bandwidth over the bytes of weights that a token needs. Reading a prompt: operations per second over
two operations for each of those weights. Device and model take turns in one process, so that what else runs on the
machine slows both; the table has the medians of the rounds, and the ratio is that within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import gguf
import numpy as np

from pollama.native.batch import Batch
from pollama.native.context import Context, ContextSettings
from pollama.native.library import initialise
from pollama.native.model import Model, Placement
from pollama.native.speed_graph import MATRIX_BYTES, WIDTH, Computer

PROMPT = 512
TOKENS = 32
WEIGHT_BYTES = 256 << 20
FEW = 4


def read_weights(path: Path) -> tuple[int, int]:
    """Return the bytes and the number of the weights that every token is multiplied with."""
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors if len(tensor.shape) > 1}
    if "output.weight" in tensors:
        del tensors["token_embd.weight"]  # of which a token needs one row
    counts = (int(np.prod(tensor.shape)) for tensor in tensors.values())
    return sum(int(tensor.n_bytes) for tensor in tensors.values()), sum(counts)


class Subject:
    """The model on the device."""

    def __init__(self, path: Path, threads: int) -> None:
        self.model = Model(path, Placement(gpu_layers=0), lambda share: None)
        settings = ContextSettings(cells=2 * PROMPT, sequences=1, batch=PROMPT, threads=threads)
        self.context = Context(self.model, settings)
        self.batch = Batch(PROMPT)

    def process(self, tokens: Sequence[int], start: int) -> None:
        """Compute ``tokens`` from position ``start`` on."""
        self.batch.clear()
        self.batch.add(0, list(tokens), start, output=True)
        self.context.decode(self.batch)
        self.context.synchronise()

    def prompt_speed(self) -> float:
        """Return tokens per second of a prompt."""
        self.context.clear()
        return PROMPT / seconds(lambda: self.process(range(300, 300 + PROMPT), 0))

    def token_speed(self) -> float:
        """Return tokens per second one after the other, behind a short prompt."""
        self.context.clear()
        self.process([300], 0)
        return TOKENS / seconds(self._produce)

    def _produce(self) -> None:
        for position in range(1, 1 + TOKENS):
            self.process([300], position)


def seconds(run: Callable[[], object]) -> float:
    """Return how long ``run`` takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


class Device:
    """The device by itself, on the same cores."""

    def __init__(self, threads: int, lent: ExitStack) -> None:
        computer = Computer("CPU", threads)
        self.matrices = lent.enter_context(computer.weights(WEIGHT_BYTES // MATRIX_BYTES))
        self.vector = lent.enter_context(computer.product(self.matrices, 1))
        self.batch = lent.enter_context(computer.product(self.matrices[:FEW], PROMPT))

    def bandwidth(self) -> float:
        """Return bytes of weights per second, multiplied with a vector."""
        return len(self.matrices) * MATRIX_BYTES / seconds(self.vector.compute)

    def compute(self) -> float:
        """Return operations per second, where weights are multiplied with a batch."""
        return FEW * 2 * WIDTH * WIDTH * PROMPT / seconds(self.batch.compute)


def compare(path: Path, threads: int, rounds: int) -> list[tuple[float, float, float, float]]:
    """Return predicted and real tokens per second of each round: producing, producing, reading, reading."""
    size, count = read_weights(path)
    subject = Subject(path, threads)
    with ExitStack() as lent:
        device = Device(threads, lent)
        subject.prompt_speed()
        return [
            (device.bandwidth() / size, subject.token_speed(), device.compute() / (2 * count), subject.prompt_speed())
            for _ in range(rounds)
        ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Compare predicted with real speed.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--cores", type=int, nargs="+", default=[min(os.sched_getaffinity(0))])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, arguments.cores)
    initialise()
    rounds = compare(arguments.model, len(arguments.cores), arguments.rounds)
    print("| | predicted tokens/s | real tokens/s | real / predicted |\n| --- | --- | --- | --- |")
    for name, predicted, real in (("producing", 0, 1), ("reading", 2, 3)):
        columns = [statistics.median(row[index] for row in rounds) for index in (predicted, real)]
        ratio = statistics.median(row[real] / row[predicted] for row in rounds)
        print(f"| {name} | {columns[0]:.1f} | {columns[1]:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
