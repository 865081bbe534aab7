"""Measures the engine loop against a bare decode loop over the same model, interleaved.

python -m benchmarks.engine_loop MODEL.gguf [--threads N] [--rounds N] [--tokens N] [--batch N] [--sequences N ...]

Prints tokens per second of all sequences together and processor time per token, prompts included (which other programs
disturb less): of a bare loop (one batch per step, greedy, no text), of the engine with greedy jobs and of the engine
with sampled ones, both with text and streaming. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pollama.native.batch import Batch
from pollama.native.context import Context, ContextSettings
from pollama.native.model import Model, Placement
from pollama.runners.llamacpp.brief import briefly
from pollama.runners.llamacpp.engine import Engine
from pollama.types.generation import Finished, GenerateJob, Sampling
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan
from tests.engine.support import Delivered

PROMPT_TOKENS = 16
CONTEXT = 512
GREEDY = Sampling(temperature=0.0)
Figures = tuple[float, float]
"""Tokens per second, and milliseconds of processor time per token."""
SAMPLED = Sampling(seed=1, temperature=0.8, top_k=40, top_p=0.9, repeat_penalty=1.1)


def prompts(count: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Return random prompts that share nothing."""
    tokens: list[list[int]] = np.random.default_rng(seed).integers(10, vocabulary, (count, PROMPT_TOKENS)).tolist()
    return tokens


def bare(
    path: Path, sequences: int, *, tokens: int, threads: int, batch_size: int, shared: bool
) -> Callable[[int], Figures]:
    """Return a function that runs the bare loop once."""
    model = Model(path, Placement(devices=[]), lambda share: None)
    settings = ContextSettings(
        cells=CONTEXT * sequences, sequences=sequences, batch=batch_size, threads=threads, shared_cells=shared
    )
    context = Context(model, settings)
    batch = Batch(batch_size)

    def run(seed: int) -> Figures:
        context.clear()
        used = time.process_time()
        for sequence, prompt in enumerate(prompts(sequences, model.vocabulary.length, seed)):
            batch.clear()
            batch.add(sequence, prompt, 0, output=True)
            context.decode(batch)
        following = [11] * sequences
        started = time.perf_counter()
        for step in range(tokens):
            batch.clear()
            for sequence in range(sequences):
                batch.add(sequence, [following[sequence]], PROMPT_TOKENS + step, output=True)
            context.decode(batch)
            following = context.logits(sequences).argmax(axis=1).tolist()
        count = sequences * tokens
        seconds = time.perf_counter() - started
        return count / seconds, 1000 * (time.process_time() - used) / count

    return run


class EngineRun:
    """An engine that serves ``sequences`` streams at once."""

    def __init__(self, path: Path, sequences: int, *, threads: int, batch_size: int, shared: bool) -> None:
        plan = Plan(
            shares=(),
            sequences=sequences,
            context_length=CONTEXT,
            cells=CONTEXT * sequences,
            shared_cells=shared,
            batch=batch_size,
            gpu_layers=0,
            threads=threads,
        )
        self._sequences = sequences
        self._engine = Engine.load(LoadSpec(weights=path, plan=plan, options=Options()), lambda share: None)
        self._engine.start(lambda: None)

    async def run(self, seed: int, tokens: int, sampling: Sampling) -> Figures:
        """Serve all streams once."""
        used = time.process_time()
        jobs = [
            GenerateJob(tokens=prompt, max_tokens=tokens, sampling=sampling)
            for prompt in prompts(self._sequences, self._engine.info.vocabulary_length, seed)
        ]
        ends = await asyncio.gather(*(self._serve(job) for job in jobs))
        seconds = max(end.generate_seconds for end in ends)
        count = sum(end.generated_tokens for end in ends)
        return count / seconds, 1000 * (time.process_time() - used) / count

    async def _serve(self, job: GenerateJob) -> Finished:
        delivered = Delivered()
        self._engine.submit(job, delivered.take)
        while True:
            item = await delivered.get()
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Finished):
                return item

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()


async def measure(arguments: argparse.Namespace, sequences: int) -> None:
    """Print the medians for one number of sequences."""
    shape = {"threads": arguments.threads, "batch_size": arguments.batch, "shared": arguments.shared}
    plain = bare(arguments.model, sequences, tokens=arguments.tokens, **shape)
    figures: dict[str, list[Figures]] = {"bare": [], "greedy": [], "sampled": []}
    for round_number in range(arguments.rounds):
        figures["bare"].append(briefly(plain, round_number))
        engine = EngineRun(arguments.model, sequences, **shape)
        figures["greedy"].append(await engine.run(round_number, arguments.tokens, GREEDY))
        figures["sampled"].append(await engine.run(100 + round_number, arguments.tokens, SAMPLED))
        engine.close()  # the threads of one, though idle, would make those of the other sleep
    for name, rounds in figures.items():
        speed, processor = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{sequences:3d} sequences  {name:8s}{speed:8.1f} tok/s {processor:8.2f} ms of processor time per token")


def main() -> None:
    """Measure for each number of sequences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--shared", action="store_true", help="let all sequences draw from the same cells")
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 16])
    arguments = parser.parse_args()
    for sequences in arguments.sequences:
        asyncio.run(measure(arguments, sequences))


if __name__ == "__main__":
    main()
