"""The engine without HTTP: the same closed loop against the engine inside this process.

python -m benchmarks.serve.inprocess MODEL.gguf --clients N [--threads N] [--context N] [--settle S] [--seconds S]

Reads a seed per line from standard input and answers each with a line of JSON: the tokens per second of a window.
What pollama serves over HTTP is compared with this to know what HTTP costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.serve.dialects import Counts
from benchmarks.serve.figures import tokens_between
from benchmarks.serve.load import Answer, Pace, run
from benchmarks.serve.workload import Ask, Scenario, asks, counting_texts, random_texts
from pollama.runners.llamacpp.engine import Engine
from pollama.types.generation import Delta, GenerateJob, Sampling
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan
from tests.engine.support import Delivered

GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0)
_BATCH = 512


def load(model: Path, *, clients: int, context: int, threads: int) -> Engine:
    """Load the model as pollama does for as many requests at once."""
    plan = Plan(
        shares=(),
        sequences=clients,
        context_length=context,
        cells=context * clients,
        shared_cells=False,
        batch=_BATCH,
        gpu_layers=0,
        threads=threads,
    )
    return Engine.load(LoadSpec(weights=model, plan=plan, options=Options()), lambda share: None)


class EngineClient:
    """Asks the engine as clients ask a server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ask(self, ask: Ask, answer: Answer) -> None:
        """Let the engine answer a request. Raises the engine's error."""
        tokens = self._engine.tokenize(ask.prompt, add_special=True, parse_special=True)
        delivered = Delivered()
        job = GenerateJob(tokens=tokens, max_tokens=ask.tokens, sampling=GREEDY)
        ticket = self._engine.submit(job, delivered.take)
        try:
            while isinstance(item := await delivered.get(), Delta):
                answer.arrivals.append(time.monotonic())
        finally:
            self._engine.cancel(ticket)
        if isinstance(item, Exception):
            raise item
        answer.counts = Counts(item.prompt_tokens, item.generated_tokens)


async def serve(arguments: argparse.Namespace) -> None:
    """Measure once per line of standard input."""
    shape = {"clients": arguments.clients, "context": arguments.context, "threads": arguments.threads}
    engine = load(arguments.model, **shape)
    engine.start(lambda: None)
    scenario = Scenario(name="short", clients=arguments.clients, answer_tokens=arguments.tokens)
    pace = Pace(settle=arguments.settle, seconds=arguments.seconds)
    texts = counting_texts if arguments.model.stem == "demo" else random_texts
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            window = await run(EngineClient(engine), scenario, asks(scenario, texts(scenario, int(line))), pace)
            speed = tokens_between(window, window.begin, window.end) / pace.seconds
            print(json.dumps({"tokens_per_second": speed}), flush=True)
    finally:
        engine.close()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--settle", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
