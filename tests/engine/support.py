"""Running jobs against a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pollama.native.context import Context
from pollama.runners.llamacpp.engine import Engine
from pollama.runners.llamacpp.load import load
from pollama.runners.llamacpp.loop import Loop
from pollama.runners.llamacpp.prepare import Preparer
from pollama.runners.llamacpp.sequences import Event, FailureEvent, Sequence
from pollama.runners.llamacpp.turn import Turn
from pollama.types.generation import Delta, Finished, GenerateJob, Sampling
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan

GREEDY = Sampling(temperature=0.0)


def spec_of(
    path: Path,
    *,
    sequences: int = 4,
    context: int = 512,
    cells: int = 0,
    shared: bool = True,
    batch: int = 64,
    options: Options | None = None,
    **fields: Any,
) -> LoadSpec:
    """Return a CPU load of ``path`` on one thread."""
    plan = Plan(
        shares=(),
        sequences=sequences,
        context_length=context,
        cells=cells or context * sequences,
        shared_cells=shared,
        batch=batch,
        gpu_layers=0,
        threads=1,
    )
    return LoadSpec(weights=path, plan=plan, options=options or Options(), **fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that a job delivered."""

    deltas: list[Delta]
    end: Finished

    @property
    def text(self) -> str:
        """The text of all deltas."""
        return "".join(delta.text for delta in self.deltas)

    @property
    def tokens(self) -> list[int]:
        """The tokens of all deltas."""
        return [token for delta in self.deltas for token in delta.tokens]


class Delivered(asyncio.Queue[Delta | Finished | Exception]):
    """What an engine delivers, for the event loop in which it was made; ``take`` is the sink."""

    def __init__(self) -> None:
        super().__init__()
        self._events = asyncio.get_running_loop()

    def take(self, item: Delta | Finished | Exception) -> None:
        """Take an item on any thread."""
        self._events.call_soon_threadsafe(self.put_nowait, item)


async def answer(engine: Engine, job: GenerateJob) -> Answer:
    """Run a job to its end; its error is raised."""
    delivered = Delivered()
    engine.submit(job, delivered.take)
    deltas: list[Delta] = []
    while True:
        item = await delivered.get()
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Finished):
            return Answer(deltas, item)
        deltas.append(item)


async def answers(engine: Engine, jobs: Iterable[GenerateJob]) -> list[Answer]:
    """Run jobs side by side."""
    return await asyncio.gather(*(answer(engine, job) for job in jobs))


def greedy(prompt: str, max_tokens: int = 40, **fields: Any) -> GenerateJob:
    """Return a job without chance."""
    return GenerateJob(prompt=prompt, max_tokens=max_tokens, sampling=GREEDY, **fields)


class CountedTurn(Turn):
    """A turn that is always one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def __enter__(self) -> Self:
        self.taken += 1
        return super().__enter__()


class HandLoop:
    """An engine loop that is driven step by step, without threads."""

    def __init__(self, spec: LoadSpec) -> None:
        self._loaded = load(spec, lambda share: None)
        assert isinstance(self._loaded.memory, Context)
        self._context = self._loaded.memory
        vocabulary = self._loaded.model.vocabulary
        length = self._loaded.info.context_length
        window, projector = self._loaded.window, self._loaded.projector
        self.turn = CountedTurn()
        self.loop = Loop(
            self._context, parallel=self._loaded.info.sequences, window=window, projector=projector, turn=self.turn
        )
        self._preparer = Preparer(vocabulary, context=length, window=window, projector=projector)
        self.vocabulary = vocabulary
        self._tickets = 0

    def prepare(self, job: GenerateJob, proceed: Callable[[], None] = lambda: None) -> Sequence:
        """Return the sequence of a job."""
        self._tickets += 1
        return self._preparer.sequence(self._tickets, job, proceed)

    def add(self, job: GenerateJob) -> Sequence:
        """Queue a job."""
        sequence = self.prepare(job)
        self.loop.add(sequence)
        return sequence

    def step(self) -> list[Event]:
        """Do one step; an engine failure fails the test."""
        events = self.loop.step()
        for event in events:
            assert not isinstance(event, FailureEvent), event
        return events

    def run(self) -> None:
        """Step until all sequences have ended."""
        while not self.loop.idle:
            self.step()

    def generated(self, sequence: Sequence) -> list[int]:
        """Return the tokens that a finished sequence produced, without its end token."""
        produced = sequence.tokens[sequence.prompt_length :]
        return produced[:-1] if produced and self.vocabulary.ends(produced[-1]) else produced

    def close(self) -> None:
        """Free everything."""
        self.loop.close()
        if self._loaded.projector is not None:
            self._loaded.projector.close()
        self._context.close()
        self._loaded.model.close()
