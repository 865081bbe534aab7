"""Measures how the threads of an engine should wait for each other, and how many there should be.

python -m benchmarks.threads MODEL.gguf [--threads N] [--rounds N] [--rows N ...] [--busy CORE ...]

Prints milliseconds per step, medians of the rounds: of one thread, of several that sleep while they wait
(``OMP_WAIT_POLICY=passive``), that look so many times whether they can go on before they sleep (``GOMP_SPINCOUNT``) or
that wait as OpenMP has it, and of a runner's, whose number is governed. Each variant is a process that computes when it
is its turn, ``--seconds`` at a time. ``--busy`` keeps cores busy meanwhile, each with a program of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.serve.neighbour import busy_core
from pollama.native.batch import Batch
from pollama.native.context import Context, ContextSettings
from pollama.native.model import Model, Placement
from pollama.runners.llamacpp.threads import ThreadGovernor
from pollama.runners.spare import runner_environment

SEQUENCES: Final = 16
CONTEXT: Final = 512


@dataclass(frozen=True, slots=True)
class Variant:
    """A number of threads and how they wait; ``governed``: fewer while other programs want the cores."""

    threads: int
    environment: dict[str, str] = field(default_factory=dict)
    governed: bool = False


def variants(threads: int) -> dict[str, Variant]:
    """Return what is compared, by name."""
    spins = {f"{threads}, GOMP_SPINCOUNT={spins}": {"GOMP_SPINCOUNT": str(spins)} for spins in (1000, 30000)}
    return {
        "1 thread": Variant(1),
        f"{threads}, passive": Variant(threads, {"OMP_WAIT_POLICY": "passive"}),
        **{name: Variant(threads, environment) for name, environment in spins.items()},
        f"{threads}, OpenMP's default": Variant(threads),
        f"{threads}, governed": Variant(threads, runner_environment({}), governed=True),
    }


class Steps:
    """Steps of an engine, without sampling. Up to 16 rows are of as many sequences, more are of one prompt."""

    def __init__(self, path: Path, threads: int, *, governed: bool) -> None:
        model = Model(path, Placement(devices=[]), lambda share: None)
        settings = ContextSettings(cells=SEQUENCES * CONTEXT, sequences=SEQUENCES, batch=CONTEXT, threads=threads)
        self._context = Context(model, settings)
        self._batch = Batch(CONTEXT)
        self._governor = ThreadGovernor(threads if governed else 1, lambda: [self._context])
        self._positions = [0] * SEQUENCES

    def run(self, rows: int, seconds: float) -> float:
        """Compute for so long, and return the seconds that a step takes."""
        self._clear()
        began, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < seconds or not steps:
            self._step(rows)
            steps += 1
        return elapsed / steps

    def _clear(self) -> None:
        self._context.clear()
        self._positions = [0] * SEQUENCES

    def _step(self, rows: int) -> None:
        sequences = rows if rows <= SEQUENCES else 1
        if self._positions[0] + rows // sequences > CONTEXT:
            self._clear()
        self._batch.clear()
        for sequence in range(sequences):
            self._batch.add(sequence, [11] * (rows // sequences), self._positions[sequence], output=True)
            self._positions[sequence] += rows // sequences
        self._context.decode(self._batch)
        self._context.synchronise()
        self._governor.after_step()


def serve(path: Path, threads: int, *, governed: bool) -> None:
    """Answer every line with rows and seconds by the seconds of a step, until there are no more."""
    steps = Steps(path, threads, governed=governed)
    for line in sys.stdin:
        rows, seconds = json.loads(line)
        print(steps.run(rows, seconds), flush=True)


class Process:
    """A variant in a process of its own, which computes when it is asked to."""

    def __init__(self, path: Path, variant: Variant) -> None:
        told = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        arguments = [str(path), "--threads", str(variant.threads), "--serve"] + ["--governed"] * variant.governed
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.threads", *arguments],
            env=told | variant.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def step_seconds(self, rows: int, seconds: float) -> float:
        """Return what a step of so many rows takes, measured for so long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([rows, seconds]) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of a step by variant, one for each number of rows: medians of interleaved rounds."""
    found: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(Process(arguments.model, variant))
            for name, variant in variants(arguments.threads).items()
        }
        for core in arguments.busy:
            stack.enter_context(busy_core(core))
        for _ in range(arguments.rounds):
            for rows in arguments.rows:
                for name, process in processes.items():
                    process.step_seconds(rows, 0)  # what it computed last has left the caches
                    found.setdefault((name, rows), []).append(process.step_seconds(rows, arguments.seconds))
    return {name: [statistics.median(found[name, rows]) for rows in arguments.rows] for name in processes}


def report(rows: Sequence[int], found: dict[str, list[float]]) -> Iterator[str]:
    """Give a table in Markdown, milliseconds per step."""
    yield f"| threads | {' | '.join(f'{count} rows' for count in rows)} |"
    yield "| --- " * (1 + len(rows)) + "|"
    for name, steps in found.items():
        yield f"| {name} | {' | '.join(f'{1000 * seconds:.1f}' for seconds in steps)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--busy", type=int, nargs="+", default=[], metavar="CORE")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--governed", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.model, arguments.threads, governed=arguments.governed)
        return
    for line in report(arguments.rows, measure(arguments)):
        print(line)


if __name__ == "__main__":
    main()
