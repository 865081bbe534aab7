"""Measures what a long prompt costs the streams beside it.

python -m benchmarks.long_prompt MODEL.gguf [--streams N] [--prompt N] [--threads N] [--batch N] [--say TEXT]

The model has to go on for ever after TEXT, as tests/data/models/probe.gguf does after "please spin".
Fifteen sequences produce while a long prompt is computed, once with shared KV cells and once with cells of their own
for each. Prints how many steps the prompt took, the longest gap between two tokens of a running stream in steps and
in milliseconds, and the median time of a step without the prompt.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from pathlib import Path

from pollama.native.context import Context, ContextSettings
from pollama.native.model import Model, Placement
from pollama.runners.llamacpp.loop import Loop
from pollama.runners.llamacpp.prepare import Preparer
from pollama.runners.llamacpp.sequences import Sequence
from pollama.types.generation import GenerateJob, Sampling

CONTEXT = 4096
GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Gaps:
    """What the running streams saw. Times in seconds."""

    prompt_steps: int
    longest_in_steps: int
    longest: float
    usual: float


def measure(model: Model, arguments: argparse.Namespace, *, shared: bool) -> Gaps:
    """Run the streams, add the prompt, and watch every step until its first token."""
    streams = arguments.streams
    settings = ContextSettings(
        cells=CONTEXT * (streams + 1),
        sequences=streams + 1,
        batch=arguments.batch,
        threads=arguments.threads,
        shared_cells=shared,
    )
    loop = Loop(Context(model, settings), parallel=streams + 1, window=CONTEXT)
    preparer = Preparer(model.vocabulary, context=CONTEXT, window=CONTEXT)
    beginning = model.vocabulary.tokenize(arguments.say, add_special=True, parse_special=True)
    running = [_add(loop, preparer, number, beginning) for number in range(streams)]
    while not all(sequence.generated for sequence in running):
        loop.step()
    usual = statistics.median(_timed(loop) for _ in range(16))
    prompt = _add(loop, preparer, streams, [10 + number % 200 for number in range(arguments.prompt)])
    return _watch(loop, running, prompt, usual)


def _watch(loop: Loop, running: Sequenced[Sequence], prompt: Sequence, usual: float) -> Gaps:
    counts = [sequence.generated for sequence in running]
    waits, longest_steps, longest, steps = [(0, 0.0)] * len(running), 0, 0.0, 0
    while not prompt.generated:
        if loop.running + loop.waiting <= len(running):
            raise SystemExit("a stream has ended: choose a model and a text after which it goes on for ever")
        seconds = _timed(loop)
        steps += 1
        waits = [(count + 1, time_ + seconds) for count, time_ in waits]
        longest_steps = max(longest_steps, *(count for count, _ in waits))
        longest = max(longest, *(time_ for _, time_ in waits))
        produced = [sequence.generated for sequence in running]
        waits = [(0, 0.0) if now > before else wait for now, before, wait in zip(produced, counts, waits, strict=True)]
        counts = produced
    loop.close()
    return Gaps(steps, longest_steps, longest, usual)


def _timed(loop: Loop) -> float:
    begun = time.perf_counter()
    loop.step()
    return time.perf_counter() - begun


def _add(loop: Loop, preparer: Preparer, ticket: int, tokens: list[int]) -> Sequence:
    job = GenerateJob(tokens=tokens, max_tokens=CONTEXT, sampling=GREEDY)
    sequence = preparer.sequence(ticket, job)
    loop.add(sequence)
    return sequence


def main() -> None:
    """Print one row for each way to keep KV cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--streams", type=int, default=15, help="sequences that produce")
    parser.add_argument("--prompt", type=int, default=2000, help="tokens of the long prompt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--say", default="please spin", help="how the streams begin")
    arguments = parser.parse_args()
    model = Model(arguments.model, Placement(devices=[]), lambda share: None)
    print("| KV cells | steps of the prompt | longest gap, steps | longest gap, ms | usual step, ms |")
    print("| --- | --- | --- | --- | --- |")
    for shared in (True, False):
        gaps = measure(model, arguments, shared=shared)
        name = "shared" if shared else "own"
        times = f"{gaps.longest * 1000:.1f} | {gaps.usual * 1000:.1f}"
        print(f"| {name} | {gaps.prompt_steps} | {gaps.longest_in_steps} | {times} |")


if __name__ == "__main__":
    main()
