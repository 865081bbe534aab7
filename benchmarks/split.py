"""Compares the ways to use two CPU devices for one model: replicas, a layer split, plain and filled, a joined device.

python -m benchmarks.split MODEL.gguf [--cores A B] [--clients N] [--rounds N] [--tokens N] [--last N]

All layouts are loaded side by side and take turns, each with the same number of clients. Prints aggregate tokens per
second (prompts included), the ratio to the plain split in the same round, and how busy each process was: the share of
the time inside ``llama_decode`` (``decode``) and the share in which its own stage computed (``stage``). Medians of the
rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pollama.runners.client import HttpRunner
from pollama.runners.process import LocalLauncher
from pollama.types.generation import Finished, GenerateJob, RunnerStatus, Sampling
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan, Stage, Worker

PROMPT_TOKENS = 16
CONTEXT = 256
GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """What every layout has in common. ``last`` is how many layers (the output is one) the second stage gets."""

    model: Path
    cores: tuple[int, int]
    clients: int
    tokens: int
    last: int

    def spec(self, cores: Sequence[int], sequences: int, stages: tuple[Stage, ...] = ()) -> LoadSpec:
        """Return a load on ``cores``, with ``stages`` elsewhere."""
        plan = Plan(
            shares=(),
            sequences=sequences,
            context_length=CONTEXT,
            cells=CONTEXT * sequences,
            shared_cells=False,
            batch=512,
            gpu_layers=0,
            threads=len(cores),
        )
        return LoadSpec(weights=self.model, plan=plan, options=Options(), stages=stages, cores=tuple(cores))

    def split(self, first: int, second: int, sequences: int) -> LoadSpec:
        """Return a split: the first stage in the runner on core ``first``, the second in a worker on ``second``."""
        worker = Worker(device=f"cpu:{second}", cores=(second,))
        return self.spec((first,), sequences, (Stage(engine_device="CPU", layers=self.last, worker=worker),))

    def layouts(self) -> dict[str, list[LoadSpec]]:
        """Return the loads of each layout."""
        one, two = self.cores
        half = self.clients // 2
        return {
            "split": [self.split(one, two, self.clients)],
            "filled": [self.split(one, two, half), self.split(one, two, half)],
            "replicas": [self.spec((one,), half), self.spec((two,), half)],
            "joined": [self.spec((one, two), self.clients)],
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one layout: tokens per second, and per process the shares of the time."""

    speed: float
    decode: list[float]
    stage: list[float]


async def measure(runners: Sequence[HttpRunner], shape: Shape, seed: int) -> Figures:
    """Serve all clients once; runner by runner in turn."""
    vocabulary = runners[0].info.vocabulary_length
    prompts = np.random.default_rng(seed).integers(10, vocabulary, (shape.clients, PROMPT_TOKENS)).tolist()
    before = [await runner.status() for runner in runners]
    started = time.perf_counter()
    counts = await asyncio.gather(
        *(serve(runners[index % len(runners)], prompt, shape.tokens) for index, prompt in enumerate(prompts))
    )
    seconds = time.perf_counter() - started
    after = [await runner.status() for runner in runners]
    pairs = list(zip(before, after, strict=True))
    decode = [(end.busy_seconds - begin.busy_seconds) / seconds for begin, end in pairs]
    stage = [share / seconds for begin, end in pairs for share in spent(begin, end)]
    return Figures(sum(counts) / seconds, decode, stage)


def spent(begin: RunnerStatus, end: RunnerStatus) -> list[float]:
    """Return the seconds that each stage computed: the runner's own, then its workers'."""
    workers = zip(begin.workers, end.workers, strict=True)
    own = end.computing_seconds - begin.computing_seconds
    return [own, *(late.busy_seconds - early.busy_seconds for early, late in workers)]


async def serve(runner: HttpRunner, prompt: list[int], tokens: int) -> int:
    """Run one client; return how many tokens it got."""
    job = GenerateJob(tokens=prompt, max_tokens=tokens, sampling=GREEDY)
    async for item in runner.generate(job):
        if isinstance(item, Finished):
            return item.generated_tokens
    return 0


async def compare(shape: Shape, rounds: int, names: Sequence[str]) -> dict[str, list[Figures]]:
    """Let the layouts take turns."""
    return await take_turns({name: specs for name, specs in shape.layouts().items() if name in names}, shape, rounds)


async def take_turns(layouts: Mapping[str, Sequence[LoadSpec]], shape: Shape, rounds: int) -> dict[str, list[Figures]]:
    """Load all layouts side by side and measure them in turn, round after round; a warm-up comes first."""
    launcher = LocalLauncher(os.environ)
    loaded: dict[str, list[HttpRunner]] = {}
    try:
        for name, specs in layouts.items():
            loaded[name] = [await launcher.launch(spec) for spec in specs]
        for runners in loaded.values():
            await measure(runners, replace(shape, tokens=4), 0)
        found: dict[str, list[Figures]] = {name: [] for name in loaded}
        for number in range(rounds):
            for name, runners in loaded.items():
                found[name].append(await measure(runners, shape, number))
        return found
    finally:
        await asyncio.gather(*(runner.close() for runners in loaded.values() for runner in runners))


def report(found: dict[str, list[Figures]], baseline: str = "split") -> None:
    """Print a line per layout."""
    for name, figures in found.items():
        speed = statistics.median(figure.speed for figure in figures)
        pairs = zip(figures, found[baseline], strict=True)
        ratio = statistics.median(figure.speed / plain.speed for figure, plain in pairs)
        decode = shares([figure.decode for figure in figures])
        stage = shares([figure.stage for figure in figures])
        print(f"{name:10s}{speed:8.1f} tok/s {ratio:6.2f} x {baseline}   decode {decode:12s} stage {stage}")


def shares(rounds: Sequence[Sequence[float]]) -> str:
    """Return the medians by process, as percentages."""
    return "+".join(f"{statistics.median(values):.0%}" for values in zip(*rounds, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--cores", type=int, nargs=2, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--last", type=int, default=3, help="layers of the second stage, the output being one")
    parser.add_argument("--layouts", nargs="+", default=["split", "filled", "replicas", "joined"])
    arguments = parser.parse_args()
    one, two = arguments.cores
    shape = Shape(arguments.model, (one, two), arguments.clients, arguments.tokens, arguments.last)
    report(asyncio.run(compare(shape, arguments.rounds, arguments.layouts)))


if __name__ == "__main__":
    main()
