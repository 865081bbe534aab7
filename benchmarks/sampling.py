"""Measures choosing the next token of many sequences, one after the other and on threads, interleaved.

python -m benchmarks.sampling MODEL.gguf [--sequences N] [--threads N ...] [--rounds N]

Only the model's vocabulary is used; the logits are random, normally distributed. Prints milliseconds per step of all
sequences, median and best of the rounds (other programs disturb the best least), for each way of sampling.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pollama.native.model import Model, Placement
from pollama.runners.llamacpp.sampling import TokenChooser, chain_settings
from pollama.types.generation import Sampling

CONTEXT = 512
SPREAD = 3.0
WAYS = {
    "greedy": Sampling(temperature=0.0),
    "top-k 40, top-p, penalties": Sampling(seed=1, temperature=0.8, top_k=40, top_p=0.9, repeat_penalty=1.1),
    "top-p of all tokens": Sampling(seed=1, temperature=0.8, top_k=0, top_p=0.9),
}
Logits = NDArray[np.float32]


def choose(choosers: Sequence[TokenChooser], logits: Logits) -> None:
    """Sample each sequence once."""
    for chooser, row in zip(choosers, logits, strict=True):
        chooser.choose(row)


def choose_on_threads(pool: ThreadPoolExecutor, parts: int, choosers: Sequence[TokenChooser], logits: Logits) -> None:
    """Sample each sequence once, an equal share of them on each of ``parts`` threads (1: the caller's)."""
    if parts == 1:
        choose(choosers, logits)
        return
    borders = [len(choosers) * part // parts for part in range(parts + 1)]
    shares = itertools.pairwise(borders)
    for done in [pool.submit(choose, choosers[start:end], logits[start:end]) for start, end in shares]:
        done.result()


def milliseconds(work: Callable[..., object], *arguments: Any) -> float:
    """Return how long ``work`` takes."""
    started = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - started)


def measure(model: Model, way: str, arguments: argparse.Namespace) -> None:
    """Print the figures of one way of sampling."""
    vocabulary, dice = model.vocabulary, np.random.default_rng(0)
    settings = chain_settings(WAYS[way], CONTEXT)
    choosers = [TokenChooser(vocabulary, settings) for _ in range(arguments.sequences)]
    figures: dict[int, list[float]] = {threads: [] for threads in (1, *arguments.threads)}
    with ThreadPoolExecutor(max(figures)) as pool:
        for _ in range(arguments.rounds):
            logits = dice.standard_normal((arguments.sequences, vocabulary.length), np.float32) * np.float32(SPREAD)
            for threads, times in figures.items():
                times.append(milliseconds(choose_on_threads, pool, threads, choosers, logits))
    for chooser in choosers:
        chooser.close()
    for threads, times in figures.items():
        print(f"{way:28s}{threads:3d} threads  median {statistics.median(times):8.2f} ms  best {min(times):8.2f} ms")


def main() -> None:
    """Measure every way of sampling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    model = Model(arguments.model, Placement(devices=[]), lambda share: None)
    for way in WAYS:
        measure(model, way, arguments)
    model.close()


if __name__ == "__main__":
    main()
