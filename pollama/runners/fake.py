"""Runners without an engine, for tests of what uses runners: they do what a script says, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pollama.errors import PollamaError, RunnerDiedError
from pollama.types.generation import (
    BufferUse,
    Delta,
    EmbedJob,
    Finished,
    GenerateJob,
    RunnerInfo,
    RunnerStatus,
)
from pollama.types.plans import LoadSpec


@dataclass(kw_only=True)
class Script:
    """What a launch does: wait for ``gate`` (when given), raise ``error`` (when given), else answer with ``words``.

    Each word waits for ``word_gate`` (when given).
    """

    gate: asyncio.Event | None = None
    error: PollamaError | None = None
    words: tuple[str, ...] = ("Hello", " world")
    word_gate: asyncio.Semaphore | None = None


class FakeRunner:
    """A Runner that counts characters as tokens and remembers its jobs."""

    def __init__(self, spec: LoadSpec, script: Script) -> None:
        self.spec = spec
        self.jobs: list[GenerateJob] = []
        self.running = 0
        self._script = script
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def closed(self) -> bool:
        """Whether it was closed or died."""
        return self._end.done()

    @property
    def info(self) -> RunnerInfo:
        """Facts that follow from the plan; each device holds what its share says."""
        plan = self.spec.plan
        return RunnerInfo(
            context_length=plan.context_length,
            trained_context=plan.context_length,
            sequences=plan.sequences,
            cells=plan.cells,
            embedding_length=4,
            vocabulary_length=256,
            bos=1,
            eos=2,
            bos_text="<s>",
            adds_bos=False,
            adds_eos=False,
            can_shift=True,
            buffers=[
                BufferUse(
                    device=share.device, weights=share.weight_bytes, kv=share.kv_bytes, compute=share.compute_bytes
                )
                for share in plan.shares
            ],
        )

    def die(self, reason: str) -> None:
        """End as a crashed process does: running generations fail with ``reason``."""
        if not self.closed:
            self._end.set_result(reason)

    async def status(self) -> RunnerStatus:
        """Return how many sequences run."""
        return RunnerStatus(state="ready", progress=1.0, running=self.running)

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Return the code points of ``text``, after a 1 for ``add_special``."""
        del parse_special
        return [1] * add_special + [ord(character) for character in text]

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the lengths of the texts."""
        return [len(text) for text in texts]

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the characters of code points."""
        return "".join(map(chr, tokens))

    async def generate(self, job: GenerateJob) -> AsyncGenerator[Delta | Finished, None]:
        """Say the words of the script. Raises RunnerDiedError once it is dead or closed."""
        self.jobs.append(job)
        self.running += 1
        try:
            for word in self._script.words:
                await self._next_word()
                yield Delta(text=word, tokens=[ord(character) for character in word])
            count = sum(map(len, self._script.words))
            yield Finished(reason="stop", prompt_tokens=len(job.prompt), generated_tokens=count)
        finally:
            self.running -= 1

    async def _next_word(self) -> None:
        if self._script.word_gate is not None:
            gate = asyncio.ensure_future(self._script.word_gate.acquire())
            either: tuple[asyncio.Future[Any], ...] = (gate, self._end)
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gate.cancel()
        if self.closed:
            raise RunnerDiedError(self._end.result())

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        """Return a vector of four numbers per input: its length and zeros."""
        return [[float(len(tokens)), 0.0, 0.0, 0.0] for tokens in job.inputs]

    async def close(self) -> None:
        """End without a reason; safe to call twice."""
        self.die("")

    async def wait_closed(self) -> str:
        """Return the reason of its end, "" after ``close``."""
        return await asyncio.shield(self._end)


@dataclass
class FakeLauncher:
    """A Launcher that follows a script per file name of the weights; unknown ones load at once."""

    scripts: dict[str, Script] = field(default_factory=dict)
    launched: list[FakeRunner] = field(default_factory=list)
    loading: list[LoadSpec] = field(default_factory=list)

    async def launch(self, spec: LoadSpec) -> FakeRunner:
        """Return a runner for ``spec`` when its script allows it; raises the script's error."""
        script = self.scripts.get(spec.weights.name, Script())
        self.loading.append(spec)
        try:
            if script.gate is not None:
                await script.gate.wait()
            if script.error is not None:
                raise script.error
        finally:
            self.loading.remove(spec)
        self.launched.append(FakeRunner(spec, script))
        return self.launched[-1]
