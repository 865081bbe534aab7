"""A runner process with an engine that does what the name of the weights file says.

``ready`` loads, ``slow`` loads in steps, ``stuck`` never finishes, ``broken`` is refused, ``crash`` dies while loading.
A generation echoes its prompt word by word; the prompt itself may ask for something else, see ``ScriptedEngine``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pollama.errors import FormatError, GenerationError, PromptTooLongError, WeightsError
from pollama.runners.llamacpp import child
from pollama.runners.llamacpp.app import Sink
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, RunnerInfo, RunnerStatus
from pollama.types.plans import LoadSpec

ERRORS = {
    "too-long": PromptTooLongError("the prompt is too long"),
    "format": FormatError("bad schema"),
    "teapot": GenerationError("short and stout", 418),
}


@dataclass(eq=False)
class Ticket:
    task: asyncio.Task[None] | None = None
    cancelled: list[bool] = field(default_factory=list)


class ScriptedEngine:
    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._running: set[Ticket] = set()
        self._error = ""
        self._flush: Callable[[], None] = lambda: None

    @property
    def info(self) -> RunnerInfo:
        plan = self._spec.plan
        return RunnerInfo(
            context_length=plan.context_length,
            trained_context=4096,
            sequences=plan.sequences,
            cells=plan.cells,
            embedding_length=2,
            vocabulary_length=1000,
            bos=1,
            eos=2,
            bos_text="<s>",
            adds_bos=True,
            adds_eos=False,
            can_shift=True,
            layers_total=plan.threads,
        )

    def start(self, flush: Callable[[], None]) -> None:
        self._flush = flush

    def close(self) -> None:
        pass

    def submit(self, job: GenerateJob, sink: Sink) -> Ticket:
        if job.prompt in ERRORS:
            raise ERRORS[job.prompt]
        ticket = Ticket()
        self._running.add(ticket)
        ticket.task = asyncio.get_running_loop().create_task(self._produce(job, sink))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        if ticket in self._running and ticket.task is not None:
            ticket.task.cancel()
            self._running.discard(ticket)

    async def _produce(self, job: GenerateJob, sink: Sink) -> None:
        """``die`` kills the process, ``break`` fails for good, ``forever`` never ends, ``flood n`` is n words."""
        verb, _, argument = job.prompt.partition(" ")
        if verb == "die":
            sys.stderr.write("error: out of luck\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if verb == "break":
            self._error = "the loop ended"
        if verb == "later":
            sink(Delta(text="a"))
            sink(ERRORS[argument])
            self._flush()
            return
        if verb == "forever":
            while True:
                sink(Delta(text="x" * 100, tokens=[7]))
                self._flush()
                await asyncio.sleep(0)
        words = ["word "] * int(argument) if verb == "flood" else job.prompt.split(" ")
        for word in words:
            sink(Delta(text=word, tokens=[len(word)]))
        sink(Finished(reason="stop", prompt_tokens=len(words), generated_tokens=len(words)))
        self._flush()

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return [1] * add_special + [ord(character) for character in text] + [3] * parse_special

    def detokenize(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        return [[float(sum(tokens)), 1.5] for tokens in job.inputs]

    def status(self) -> RunnerStatus:
        return RunnerStatus(
            state="failed" if self._error else "ready",
            error=self._error,
            progress=1.0,
            running=len(self._running),
            cells_used=len(os.sched_getaffinity(0)),
            steps=threading.active_count(),
        )


def load(spec: LoadSpec, on_progress: Callable[[float], None]) -> ScriptedEngine:
    name = spec.weights.name
    if name == "broken":
        raise WeightsError(f"{spec.weights}: not a GGUF file")
    if name == "crash":
        os.abort()
    if name == "stuck":
        on_progress(0.5)
        threading.Event().wait()
    if name == "slow":
        for step in range(1, 4):
            time.sleep(2)
            on_progress(step / 4)
    return ScriptedEngine(spec)


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], lambda: load))
