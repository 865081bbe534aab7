"""From the token events of a sequence to what the caller gets."""

from __future__ import annotations

from collections.abc import Callable

from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.sequences import PromptUse, TokenEvent
from pollama.runners.llamacpp.text import TextWriter, Written
from pollama.types.generation import Delta, Finished, FinishReason, GenerateJob

Sink = Callable[[Delta | Finished | Exception], None]
"""Gets every delta of a job and then its end."""


class Stream:
    """Delivers one job. ``closed``: it got Finished or an error, what comes later is ignored.

    ``complete`` is why a job that goes on has nothing left to do: an earlier run delivered all of its answer.
    """

    def __init__(self, job: GenerateJob, sink: Sink, vocabulary: Vocabulary) -> None:
        self._job = job
        self._sink = sink
        self._vocabulary = vocabulary
        self._preserved: set[int] = set()
        self._writer = TextWriter(self._piece, job.stop)
        self._resumed_stop = ""
        self.complete: FinishReason | None = None
        self._prompt = PromptUse(tokens=0, cached=0, seconds=0.0)
        self._first_at = 0.0
        self._generated = len(job.produced)
        self.closed = False
        self.cancelled = False

    def prepare(self) -> None:
        """Go on behind what an earlier run produced. On any thread, before the first event: it may take its time."""
        ids = (self._vocabulary.tokenize(text, add_special=False, parse_special=True) for text in self._job.preserved)
        self._preserved.update(tokens[0] for tokens in ids if len(tokens) == 1)
        self._resumed_stop = self._writer.resume(self._job.produced)
        self.complete = self._complete(self._job)

    def _piece(self, token: int) -> bytes:
        return self._vocabulary.piece(token, special=token in self._preserved)

    def token(self, event: TokenEvent) -> bool:
        """Take an event; return False when the stream wants no more although the engine goes on (a stop string)."""
        if self.closed:
            return True
        if event.prompt is not None:
            self._prompt, self._first_at = event.prompt, event.at
        stopped_by = self._write(event)
        if stopped_by:
            self._finish("stop", event.at, stopped_by)
            return event.reason is not None
        if event.reason is not None:
            self._end(event.reason, event.at)
        return True

    def failed(self, error: Exception) -> None:
        """End with an error."""
        if not self.closed:
            self.closed = True
            self._sink(error)

    def _write(self, event: TokenEvent) -> str:
        if event.token is None:
            return ""
        self._generated += 1
        if self._vocabulary.ends(event.token):
            return ""
        written = self._writer.write(event.token, event.score, event.draws)
        if written.delta is not None:
            self._sink(written.delta)
        return written.stopped_by

    def _complete(self, job: GenerateJob) -> FinishReason | None:
        if self._resumed_stop or any(map(self._vocabulary.ends, job.produced[-1:])):
            return "stop"
        return "length" if job.produced and 0 <= job.max_tokens <= len(job.produced) else None

    def _end(self, reason: FinishReason, at: float) -> None:
        if self.complete is not None:
            self._finish(reason, at, self._resumed_stop)
            return
        rest = Written(self._writer.broken_off()) if reason == "aborted" else self._writer.finish()
        if rest.delta is not None:
            self._sink(rest.delta)
        self._finish("stop" if rest.stopped_by else reason, at, rest.stopped_by)

    def _finish(self, reason: FinishReason, at: float, stopped_by: str = "") -> None:
        self.closed = True
        self._sink(
            Finished(
                reason=reason,
                prompt_tokens=self._prompt.tokens,
                cached_tokens=self._prompt.cached,
                generated_tokens=self._generated,
                prompt_seconds=self._prompt.seconds,
                generate_seconds=max(0.0, at - self._first_at) if self._first_at else 0.0,
                stopped_by=stopped_by,
            )
        )
