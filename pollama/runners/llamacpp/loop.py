"""The engine loop: one batch per step for all sequences.

A step admits waiting sequences, makes room, builds one sorted batch (a row for every sequence that is producing and
chunks of prompts), decodes it, samples, and returns what happened. It knows nothing of threads, text or clients, and
can be driven by hand.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from pollama.errors import GenerationError
from pollama.native.batch import Batch
from pollama.native.context import Context
from pollama.native.errors import DecodeError, NativeError, NoRoomError
from pollama.native.media import Projector
from pollama.runners.llamacpp.batch import Chunk, PrefillBudget, plan_step
from pollama.runners.llamacpp.cache import Slot
from pollama.runners.llamacpp.memory import KvMemory
from pollama.runners.llamacpp.sampling import score
from pollama.runners.llamacpp.sequences import Counters, Event, FailureEvent, PromptUse, Sequence, TokenEvent
from pollama.runners.llamacpp.text import TokenScore
from pollama.runners.llamacpp.turn import Turn
from pollama.types.generation import FinishReason

_STEP_SECONDS = 0.1
"""How long a step may take for the sake of a prompt while others are producing."""
_SMALLEST_PREFILL = 16
_FIRST_PREFILL = 64
"""Prompt rows in a step while nothing is known of their time: most short prompts take one step."""
_RESERVE = 8
"""Cells that stay free per running sequence when another one is admitted."""
_ATTEMPTS = 2
"""How often a batch that fails in the engine is computed before its sequences fail."""


class Loop:
    """Sequences over one context. ``parallel`` run at once, each up to ``window`` positions.

    What computes waits for its ``turn`` where other runners compute on the same cores.
    """

    def __init__(
        self,
        context: Context,
        *,
        parallel: int,
        window: int,
        projector: Projector | None = None,
        turn: Turn | None = None,
    ) -> None:
        self._context = context
        self._turn = turn or Turn()
        self._projector = projector
        self._vocabulary = context.model.vocabulary
        self._window = window
        self._parallel = parallel
        self._batch = Batch(context.batch)
        self._budget = PrefillBudget(
            target=_STEP_SECONDS, smallest=_SMALLEST_PREFILL, first=_FIRST_PREFILL, largest=context.batch
        )
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._computing: list[Sequence] = []
        self._blocked = False
        self.memory = KvMemory(context)
        self.counters = Counters()

    @property
    def running(self) -> int:
        """Sequences that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Sequences that wait for one."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self._running and not self._waiting

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self._waiting.append(sequence)

    def cancel(self, ticket: int) -> Event | None:
        """End a sequence now; None when it has ended already."""
        for sequence in [*self._running, *self._waiting]:
            if sequence.ticket == ticket:
                return self._finish(sequence, None, "aborted")
        return None

    def export(self, ticket: int) -> Exported | None:
        """Return the memory of a sequence; None where that takes another step first, or it waits and has none."""
        for sequence in self._running:
            if sequence.ticket == ticket:
                slot = sequence.running_slot
                data = self.memory.export(slot)
                return None if data is None else Exported(list(slot.tokens), slot.pure, data)
        for sequence in self._waiting:
            if sequence.ticket == ticket and sequence.saved:
                return Exported(sequence.tokens[:-1], sequence.pure, sequence.saved)
        return None

    def holds_slot(self, ticket: int) -> bool:
        """Tell whether a sequence runs, so that its memory can be had after a step."""
        return any(sequence.ticket == ticket for sequence in self._running)

    def runs(self, ticket: int) -> bool:
        """Tell whether a sequence has not ended yet."""
        return any(sequence.ticket == ticket for sequence in [*self._running, *self._waiting])

    def close(self) -> None:
        """Free what the sequences hold."""
        for sequence in [*self._running, *self._waiting]:
            sequence.chooser.close()

    def step(self) -> list[Event]:
        """Do one step; return what happened to the sequences."""
        self._admit()
        self._close_gap()
        for sequence in self._running:
            self._shift_if_full(sequence)
        try:
            self._decode_medium()
            return self._decode_batch()
        except NoRoomError:
            self._resynchronise()
            return self._make_room()
        except DecodeError as error:
            self._resynchronise()
            return self._fail_repeated(error)

    # -- who runs -----------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._parallel and not self._blocked:
            if not self._fits(self._waiting[0]):
                self._blocked = True
                return
            self._start(self._waiting.popleft())

    def _fits(self, sequence: Sequence) -> bool:
        """Tell whether the cells suffice; a sequence that would run alone always fits."""
        if not self._running or not self.memory.shared:
            return True
        needed = sequence.cells + _RESERVE * (len(self._running) + 1)
        held = sum(running.cells for running in self._running)
        return needed + held <= self._context.cells or needed <= self.memory.cells_free_of_running

    def _start(self, sequence: Sequence) -> None:
        slot = self._resume(sequence) if sequence.saved else None
        if sequence.admitted(slot or self.memory.acquire(sequence.tokens)):
            self._count_prompt(sequence.cached)
        self._running.append(sequence)

    def _count_prompt(self, cached: int) -> None:
        self.counters.prompts += 1
        self.counters.hits += cached > 0
        self.counters.reused += cached

    def _resume(self, sequence: Sequence) -> Slot | None:
        saved, sequence.saved = sequence.saved, None
        slot = self.memory.acquire_blank()
        if saved and self.memory.restore(slot, saved, sequence.tokens[:-1], sequence.pure):
            return slot
        self.memory.release(slot, keep=False)
        return None

    def _close_gap(self) -> None:
        if self._waiting and len(self._running) < self._parallel:
            return
        moved = self.memory.close_gap()
        if moved is None:
            return
        source, target = moved
        for sequence in self._running:
            if sequence.slot is source:
                sequence.slot = target

    def _shift_if_full(self, sequence: Sequence) -> None:
        slot = sequence.running_slot
        gone = sequence.shift_rule.due(len(slot.tokens))
        if gone is None:
            return
        if not self.memory.shift(slot, gone):
            self.memory.clear(slot)
        del sequence.tokens[gone.start : gone.end]
        self._blocked = False

    # -- one batch ----------------------------------------------------------------------------------

    def _decode_medium(self) -> None:
        """Put the next image or audio into memory, one per step and in a decode of its own."""
        for sequence in self._running:
            chunk = sequence.media_due
            if chunk is not None and self._projector is not None:
                slot = sequence.running_slot
                self._computing = [sequence]
                with self._turn:
                    self._projector.decode(self._context, chunk, slot.index, len(slot.tokens))
                self.memory.settled()
                self.memory.extend(slot, [chunk.placeholder] * chunk.positions)
                return

    def _decode_batch(self) -> list[Event]:
        """Compute one batch and choose the tokens that follow from it."""
        chunks = self._plan()
        if not chunks:
            return []
        started = time.monotonic()
        events = self._sample(self._decode(chunks))
        prompts = self._batch.length - sum(1 for chunk in chunks if chunk.output and chunk.count == 1)
        self._budget.learn(self._batch.length, time.monotonic() - started, prompts=prompts)
        return events

    def _plan(self) -> list[Chunk]:
        now = time.monotonic()
        demands = [sequence.demand(now) for sequence in self._running]
        return plan_step(demands, capacity=self._batch.capacity, budget=self._budget)

    def _decode(self, chunks: list[Chunk]) -> list[Sequence]:
        """Compute ``chunks``; return the sequences that have an output, in its order."""
        by_slot = {sequence.running_slot.index: sequence for sequence in self._running}
        self._computing = [by_slot[chunk.slot] for chunk in chunks]
        self._batch.clear()
        for chunk, sequence in zip(chunks, self._computing, strict=True):
            start = len(sequence.running_slot.tokens)
            self._batch.add(chunk.slot, sequence.tokens[start : start + chunk.count], start, output=chunk.output)
        with self._turn:
            self._context.decode(self._batch)
        self.counters.steps += 1
        self.counters.rows += self._batch.length
        self.memory.settled()
        self._note_computed(chunks)
        return [sequence for chunk, sequence in zip(chunks, self._computing, strict=True) if chunk.output]

    def _note_computed(self, chunks: list[Chunk]) -> None:
        for chunk, sequence in zip(chunks, self._computing, strict=True):
            slot = sequence.running_slot
            start = len(slot.tokens)
            self.memory.extend(slot, sequence.tokens[start : start + chunk.count])
            sequence.failures = 0
            self.counters.prefilled += 0 if chunk.count == 1 and sequence.generated else chunk.count

    # -- tokens -------------------------------------------------------------------------------------

    def _sample(self, sequences: list[Sequence]) -> list[Event]:
        if not sequences:
            return []
        self._context.synchronise()
        choices = list(map(_choose, sequences, self._context.logits(len(sequences))))
        return list(map(self._apply, sequences, choices))

    def _apply(self, sequence: Sequence, choice: Choice | Exception) -> Event:
        if isinstance(choice, Exception):
            return self._fail(sequence, choice)
        if sequence.limits.max_tokens == 0:
            return self._finish(sequence, None, "length")
        sequence.tokens.append(choice.token)
        sequence.generated += 1
        self.counters.decoded += 1
        reason = self._reason(sequence, choice.token)
        if reason is not None:
            return self._finish(sequence, choice, reason)
        return self._event(sequence, choice, None)

    def _reason(self, sequence: Sequence, token: int) -> FinishReason | None:
        if self._vocabulary.ends(token):
            return "stop"
        if 0 <= sequence.limits.max_tokens <= sequence.generated:
            return "length"
        full = len(sequence.running_slot.tokens) + sequence.extra_cells + 1 >= self._window
        return "length" if full and not sequence.limits.shift else None

    def _event(self, sequence: Sequence, choice: Choice | None, reason: FinishReason | None) -> TokenEvent:
        now = time.monotonic()
        first = sequence.first_token_at == 0.0 and sequence.started_at is not None
        if first:
            sequence.first_token_at = now
        return TokenEvent(
            ticket=sequence.ticket,
            token=choice.token if choice else None,
            at=now,
            score=choice.score if choice else None,
            draws=sequence.chooser.draws,
            reason=reason,
            prompt=_prompt_use(sequence) if first else None,
        )

    def _finish(self, sequence: Sequence, choice: Choice | None, reason: FinishReason) -> TokenEvent:
        event = self._event(sequence, choice, reason)
        self._leave(sequence, keep=True)
        return event

    def _fail(self, sequence: Sequence, error: Exception) -> FailureEvent:
        self._leave(sequence, keep=False)
        return FailureEvent(ticket=sequence.ticket, error=GenerationError(str(error)))

    def _leave(self, sequence: Sequence, *, keep: bool) -> None:
        sequence.chooser.close()
        self._blocked = False
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        self._running.remove(sequence)
        self.memory.release(sequence.slot, keep=keep)
        sequence.slot = None

    # -- trouble ------------------------------------------------------------------------------------

    def _resynchronise(self) -> None:
        for sequence in self._computing:
            self.memory.resynchronise(sequence.running_slot)

    def _make_room(self) -> list[Event]:
        """Free cells after a batch found none: first cached prefixes, then the youngest sequence."""
        if self.memory.evict_oldest():
            return []
        if len(self._running) > 1:
            self._preempt(self._running[-1])
            return []
        return [self._fail(self._running[0], NoRoomError("the context is too small for this sequence"))]

    def _preempt(self, sequence: Sequence) -> None:
        """Give a sequence's cells to the others; it goes on later, from its exported memory if possible."""
        slot = sequence.running_slot
        if sequence.pending == 1:
            sequence.saved, sequence.pure = self.memory.export(slot), slot.pure
        self.memory.release(slot, keep=False)
        sequence.slot = None
        self._running.remove(sequence)
        self._waiting.appendleft(sequence)
        self._blocked = True
        self.counters.preemptions += 1

    def _fail_repeated(self, error: DecodeError) -> list[Event]:
        """After a failed decode: sequences whose last decode failed too end, the others try again."""
        for sequence in self._computing:
            sequence.failures += 1
        failed = [sequence for sequence in self._computing if sequence.failures >= _ATTEMPTS]
        return [self._fail(sequence, error) for sequence in failed]


@dataclass(frozen=True, slots=True)
class Exported:
    """Memory of a sequence: the tokens it holds, how many of them are pure (see Slot), and the engine's bytes."""

    tokens: list[int]
    pure: int | None
    data: bytes


class Choice(msgspec.Struct, frozen=True):
    """A sampled token."""

    token: int
    score: TokenScore | None


def _choose(sequence: Sequence, logits: NDArray[np.float32]) -> Choice | Exception:
    """Sample one sequence, before anything can change the logits of the others."""
    try:
        token = sequence.chooser.choose(logits)
        return Choice(token, None if sequence.alternatives is None else score(logits, token, sequence.alternatives))
    except NativeError as error:
        return error


def _prompt_use(sequence: Sequence) -> PromptUse:
    seconds = sequence.first_token_at - (sequence.started_at or sequence.first_token_at)
    return PromptUse(tokens=sequence.prompt_cells, cached=sequence.cached, seconds=seconds)
