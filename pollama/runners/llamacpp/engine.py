"""The engine of a runner: one loaded model, a thread that owns it, and thread-safe doors to it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pollama.errors import GenerationError, PollamaError
from pollama.native.context import Context
from pollama.native.errors import NativeError
from pollama.runners.llamacpp.aside import SideWork
from pollama.runners.llamacpp.brief import briefly
from pollama.runners.llamacpp.embed import Embedder
from pollama.runners.llamacpp.load import Loaded, layout_of, load, make_embedder, threads_of
from pollama.runners.llamacpp.loop import Exported, Loop
from pollama.runners.llamacpp.prepare import Preparer
from pollama.runners.llamacpp.sequences import Event, FailureEvent, PromptUse, TokenEvent
from pollama.runners.llamacpp.sequences import Sequence as EngineSequence
from pollama.runners.llamacpp.streams import Sink, Stream
from pollama.runners.llamacpp.threads import ThreadGovernor
from pollama.types.generation import EmbedJob, FinishReason, GenerateJob, RunnerInfo, RunnerStatus, SequenceState
from pollama.types.plans import LoadSpec

T = TypeVar("T")

logger = logging.getLogger(__name__)


class _UnwantedError(Exception):
    """A job was cancelled before it ran."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A submitted job."""

    number: int


Command = Callable[[], Event | None]
"""Something that the engine thread does between two steps."""


class Engine:
    """Owns one llama_model and its contexts on a thread of its own.

    ``submit``, ``cancel``, ``tokenize``, ``detokenize`` and ``status`` are safe from any thread. Sinks are called one
    at a time, on the engine's thread or one that prepares for it, and must not wait.
    """

    def __init__(self, spec: LoadSpec, loaded: Loaded) -> None:
        self._spec = spec
        self._loaded = loaded
        self._vocabulary = loaded.model.vocabulary
        self.info: RunnerInfo = loaded.info
        self._embedder = loaded.memory if isinstance(loaded.memory, Embedder) else None
        self._loop = _loop(loaded)
        self._preparer = Preparer(
            self._vocabulary,
            context=loaded.info.context_length,
            window=loaded.window,
            projector=loaded.projector,
        )
        self._preparing = concurrent.futures.ThreadPoolExecutor(1, "prepare")
        self._encoding = concurrent.futures.ThreadPoolExecutor(1, "media")  # slow: text must not wait behind images
        self._allocating = concurrent.futures.ThreadPoolExecutor(1, "allocate")
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._aside = SideWork()
        self._threads = ThreadGovernor(threads_of(spec), self._contexts)
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._delivering = threading.Lock()  # sinks are called one at a time
        self._flush: Callable[[], None] = lambda: None
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._layout = layout_of(spec)
        self._error = ""
        self._closed = False

    @classmethod
    def load(cls, spec: LoadSpec, on_progress: Callable[[float], None]) -> Engine:
        """Load a model (blocking); ``on_progress`` gets the share of the weights that is loaded, 0 to 1.

        Raises LoadError (with llama.cpp's reason) or WeightsError.
        """
        return briefly(lambda: cls(spec, load(spec, on_progress)))

    def start(self, flush: Callable[[], None]) -> None:
        """Begin to work; ``flush`` is called each time that sinks have got what there is at that moment."""
        self._flush = flush
        self._thread.start()

    def close(self) -> None:
        """End all sequences, stop the thread and free the model; safe to call twice."""
        self._closed = True
        for executor in (self._preparing, self._encoding, self._allocating):
            executor.shutdown(cancel_futures=True)
        if self._thread.is_alive():
            self._commands.put(None)
            self._thread.join()
        for call in list(self._calls):
            call.cancel()
        self._end_streams(GenerationError("the engine is closed"))
        if self._loop is not None:
            self._loop.close()
        if self._embedder is not None:
            self._embedder.close()
        if self._loaded.projector is not None:
            self._loaded.projector.close()
        self._loaded.turn.close()
        self._loaded.memory.close()
        self._loaded.model.close()

    def submit(self, job: GenerateJob, sink: Sink) -> Ticket:
        """Queue a job. ``sink`` gets its deltas and then Finished or an exception, never both.

        Raises GenerationError when the engine is closed, as all that needs the model does then.
        """
        self._require_open()
        ticket = Ticket(next(self._numbers))
        stream = self._streams[ticket.number] = Stream(job, sink, self._vocabulary)
        if job.media:
            self._encoding.submit(briefly, self._prepare, ticket, job, stream)
        else:
            self._preparing.submit(self._prepare, ticket, job, stream)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """End a sequence within one step; its sink gets Finished (``aborted``) unless it has ended already."""
        stream, loop = self._streams.get(ticket.number), self._loop
        if stream is not None and loop is not None:
            stream.cancelled = True
            self._commands.put(lambda: loop.cancel(ticket.number))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the token ids of ``text``."""
        self._require_open()
        return self._vocabulary.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``, special tokens included. Raises GenerationError (400) for an unknown id."""
        self._require_open()
        try:
            return self._vocabulary.detokenize(tokens)
        except NativeError as error:
            raise GenerationError(str(error), 400) from error

    async def embed(self, job: EmbedJob) -> list[list[float]]:
        """Return the raw vector of each input; running sequences go on between the passes. Raises GenerationError."""
        embedder = self._embedder or await self._allocated()
        vectors: list[list[float]] = []
        for group in list(embedder.groups(job.inputs)):  # all are checked before the first is computed
            vectors += await self._beside_steps(functools.partial(embedder.vectors, group))
        return vectors

    async def _allocated(self) -> Embedder:
        """Return the embedder of a generating model, made when it is first asked to embed, while steps go on."""
        self._require_open()
        try:
            return await asyncio.wrap_future(self._allocating.submit(self._allocate))
        except NativeError as error:
            raise GenerationError(str(error)) from error

    def _allocate(self) -> Embedder:
        if self._embedder is None:
            self._embedder = make_embedder(self._spec, self._loaded.model, self._loaded.adapters)
        return self._embedder

    async def _on_engine_thread(self, work: Callable[[], T]) -> T:
        """Run ``work`` before the next step."""
        done: concurrent.futures.Future[T] = self._call()
        self._commands.put(lambda: _carry_out(work, done))
        return await asyncio.wrap_future(done)

    async def _beside_steps(self, work: Callable[[], T]) -> T:
        """Run ``work``, which may take long, when the steps leave time for it."""
        done: concurrent.futures.Future[T] = self._call()
        self._commands.put(lambda: self._aside.add(lambda: _carry_out(work, done)))
        return await asyncio.wrap_future(done)

    def _call(self) -> concurrent.futures.Future[Any]:
        """Return the future of a call to the engine thread, which ends when the engine is closed."""
        self._require_open()
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.add(done)
        done.add_done_callback(self._calls.discard)
        return done

    def _require_open(self) -> None:
        if self._closed:
            raise GenerationError("the engine is closed")

    async def export_state(self, ticket: Ticket) -> SequenceState:
        """Return the memory of a running sequence as it is between two steps; the sequence goes on.

        Raises GenerationError (404) when it does not run, or waits and has no memory.
        """
        while True:
            exported = await self._on_engine_thread(lambda: self._exported(ticket))
            if exported is not None:
                return SequenceState(
                    tokens=exported.tokens, data=exported.data, layout=self._layout, pure=exported.pure
                )

    def _exported(self, ticket: Ticket) -> Exported | None:
        if self._loop is None or not self._loop.runs(ticket.number):
            raise GenerationError("this sequence does not run", 404)
        exported = self._loop.export(ticket.number)
        if exported is None and not self._loop.holds_slot(ticket.number):
            raise GenerationError("this sequence waits and has no memory yet", 404)
        return exported

    async def import_state(self, state: SequenceState) -> bool:
        """Keep the memory of a sequence, so that a job with its tokens goes on without computing them.

        False when it was made by another layout or there is no room: the tokens are then computed, which is slower.
        """
        loop = self._loop
        if loop is None or state.layout != self._layout:
            return False
        return await self._on_engine_thread(lambda: loop.memory.adopt(state.data, state.tokens, state.pure))

    def status(self) -> RunnerStatus:
        """Return what the engine is doing."""
        state: Literal["ready", "failed"] = "failed" if self._error else "ready"
        contexts = self._contexts()
        status = RunnerStatus(
            state=state,
            progress=1.0,
            error=self._error,
            threads=self._threads.current,
            busy_seconds=sum(context.busy_seconds for context in contexts),
            computing_seconds=sum(context.computing_seconds for context in contexts),
        )
        return status if self._loop is None else _with_sequences(status, self._loop)

    def _contexts(self) -> list[Context]:
        memory, embedder = self._loaded.memory, self._embedder
        contexts = [memory] if isinstance(memory, Context) else []
        return contexts if embedder is None else [*contexts, embedder.context]

    # -- before the engine thread -------------------------------------------------------------------

    def _prepare(self, ticket: Ticket, job: GenerateJob, stream: Stream) -> None:
        try:
            if self._loop is None:
                raise GenerationError("this model only makes embeddings", 400)
            sequence = self._preparer.sequence(ticket.number, job, functools.partial(self._require_wanted, ticket))
            stream.prepare()
        except _UnwantedError:
            self._deliver([_ended(ticket.number, "aborted")])
        except (PollamaError, NativeError) as error:
            self._deliver([_failure(ticket, error)])
        except Exception as error:
            logger.exception("a request could not be prepared")
            self._deliver([_failure(ticket, error)])
        else:
            self._commands.put(lambda: self._add(sequence))

    def _require_wanted(self, ticket: Ticket) -> None:
        stream = self._streams.get(ticket.number)
        if stream is None or stream.cancelled:
            raise _UnwantedError

    # -- the engine thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                if not self._serve_commands():
                    return
                self._compute()
            except Exception as error:
                logger.exception("the engine loop failed")
                self._error = str(error) or type(error).__name__
                self._fail_all(GenerationError(f"the engine failed: {self._error}"))

    def _compute(self) -> None:
        """Do a step, and what there is to do beside it."""
        if self._loop is None or not self._stepping:
            self._aside.next()
        else:
            self._deliver(self._loop.step())
            self._aside.after_step()
        self._threads.after_step()

    @property
    def _stepping(self) -> bool:
        return self._error == "" and self._loop is not None and not self._loop.idle

    def _serve_commands(self) -> bool:
        """Carry out what was asked for; wait when there is nothing to compute. False: the engine is to end."""
        while True:
            try:
                command = self._commands.get(block=not self._stepping and not self._aside)
            except queue.Empty:
                return True
            if command is None:
                return False
            event = command()
            if event is not None:
                self._deliver([event])

    def _add(self, sequence: EngineSequence) -> Event | None:
        stream = self._streams.get(sequence.ticket)
        if self._error:
            return FailureEvent(ticket=sequence.ticket, error=GenerationError(f"the engine failed: {self._error}"))
        reason: FinishReason | None = "aborted" if stream is None or stream.cancelled else stream.complete
        if reason is not None or not sequence.tokens or self._loop is None:
            sequence.chooser.close()
            return _ended(sequence.ticket, reason or "stop", sequence.prompt_cells)
        self._loop.add(sequence)
        return None

    def _fail_all(self, error: Exception) -> None:
        failures = [FailureEvent(ticket=number, error=error) for number in list(self._streams)]
        self._deliver(failures)

    def _end_streams(self, error: Exception) -> None:
        """End all streams with ``error``: nothing that is still on its way to them is delivered."""
        with self._delivering:
            streams, self._streams = self._streams, {}
            for stream in streams.values():
                stream.failed(error)
            self._flush()

    # -- to the sinks -------------------------------------------------------------------------------

    def _deliver(self, events: Sequence[Event]) -> None:
        if not events:
            return
        with self._delivering:
            for event in events:
                stream = self._streams.get(event.ticket)
                if stream is not None:
                    self._deliver_to(stream, event)
            self._flush()

    def _deliver_to(self, stream: Stream, event: Event) -> None:
        if isinstance(event, FailureEvent):
            stream.failed(event.error)
        elif not stream.token(event):
            self.cancel(Ticket(event.ticket))
        if stream.closed:
            self._streams.pop(event.ticket, None)


def _loop(loaded: Loaded) -> Loop | None:
    if isinstance(loaded.memory, Embedder):
        return None
    return Loop(
        loaded.memory,
        parallel=loaded.info.sequences,
        window=loaded.window,
        projector=loaded.projector,
        turn=loaded.turn,
    )


def _with_sequences(status: RunnerStatus, loop: Loop) -> RunnerStatus:
    counters = loop.counters
    return replace(
        status,
        running=loop.running,
        waiting=loop.waiting,
        cells_used=loop.memory.cells_used,
        cached_tokens=loop.memory.cached_tokens,
        steps=counters.steps,
        decoded_tokens=counters.decoded,
        prefill_tokens=counters.prefilled,
        prompts=counters.prompts,
        prefix_hits=counters.hits,
        prefix_tokens=counters.reused,
    )


def _failure(ticket: Ticket, error: Exception) -> FailureEvent:
    failure = error if isinstance(error, PollamaError) else GenerationError(str(error) or type(error).__name__)
    return FailureEvent(ticket=ticket.number, error=failure)


def _ended(ticket: int, reason: FinishReason, prompt_tokens: int = 0) -> TokenEvent:
    """Return the end of a sequence that never ran."""
    prompt = PromptUse(tokens=prompt_tokens, cached=0, seconds=0.0)
    return TokenEvent(ticket=ticket, token=None, at=time.monotonic(), reason=reason, prompt=prompt)


def _carry_out(work: Callable[[], T], done: concurrent.futures.Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(work())
    except NativeError as error:
        done.set_exception(GenerationError(str(error)))
    except Exception as error:
        done.set_exception(error)
