"""How a runner's stream becomes the events of an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from pollama.prompts.parsers import Output
from pollama.prompts.reading import Reading
from pollama.types.events import Done, Piece
from pollama.types.generation import Delta, Finished, GenerateJob
from pollama.types.ports import Runner

_REPEAT_LIMIT: Final = 30
"""Ollama's guard against a model that says the same for ever: the stream is cut after so many equal parts."""


class RepeatGuard:
    """Counts equal parts in a row; blanks around a part do not make it different."""

    def __init__(self) -> None:
        self._last = ""
        self._count = 0

    def exceeded(self, text: str) -> bool:
        """Take the next part and tell whether it is one too many."""
        text = text.strip()
        self._count = self._count + 1 if text == self._last else 0
        self._last = text
        return self._count > _REPEAT_LIMIT


class Answer:
    """One generation, from job to events.

    After the stream has ended, ``text`` is the raw text and ``finished`` the runner's last word; None means that the
    repeat guard, or whoever was listening, cut the stream. ``thought`` is the thinking that ``thoughts`` has seen.
    """

    def __init__(self, runner: Runner, job: GenerateJob, reading: Reading, *, guard: bool) -> None:
        self._runner = runner
        self._job = job
        self._reading = reading
        self._guard = RepeatGuard() if guard else None
        self._parts: list[str] = []
        self.finished: Finished | None = None
        self.last = Piece()
        self.thought = ""
        self._content = ""

    @property
    def text(self) -> str:
        """All text so far, before parsing."""
        return "".join(self._parts)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield what becomes a record each; what the parser releases at the end is left in ``last``."""
        async with aclosing(self._runner.generate(self._job)) as stream:
            async for item in stream:
                if isinstance(item, Finished):
                    self.finished = item
                elif self._guard is not None and self._guard.exceeded(item.text):
                    return
                elif (piece := self._piece(item)) and self._is_record(piece):
                    yield piece
        if self.finished is not None:
            self.last = _as_piece(self._parse("", done=True))

    async def thoughts(self) -> AsyncGenerator[Piece, None]:
        """Yield pieces until the content begins, and stop there; ``finished`` stays None then.

        Tool calls are no content: an answer of thinking and calls runs to its end.
        """
        called = False
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                self.thought += piece.thinking
                called = called or bool(piece.tool_calls)
                self._content = piece.content
                if self.thought or not piece.content:
                    yield replace(piece, content="")
                if piece.content and not called:
                    return

    @property
    def text_before_content(self) -> str:
        """The raw text in front of the content at which ``thoughts`` stopped: thinking with its tags, and headers."""
        before, content, _ = self.text.rpartition(self._content)
        return before if content else "".join(self._parts[:-1])

    def _piece(self, delta: Delta) -> Piece:
        self._parts.append(delta.text)
        return _as_piece(self._parse(delta.text), delta)

    def _parse(self, text: str, *, done: bool = False) -> Output:
        parser = self._reading.parser
        return Output(content=text) if parser is None else parser.feed(text, done=done)

    def _is_record(self, piece: Piece) -> bool:
        if piece.content or piece.thinking or piece.tool_calls:
            return True
        return self._reading.sends_bare_logprobs if piece.logprobs else self._reading.sends_empty_pieces


def _as_piece(output: Output, delta: Delta | None = None) -> Piece:
    return Piece(
        content=output.content,
        thinking=output.thinking,
        tool_calls=output.tool_calls,
        logprobs=delta.logprobs if delta else [],
    )


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds, at least 1, as clients expect of every duration that was measured."""
    return max(1, round(seconds * 1e9))


def done(
    finished: Finished, last: Piece, *, total_seconds: float, load_seconds: float, context: list[int] | None
) -> Done:
    """Return the closing event of a generation."""
    return Done(
        reason="length" if finished.reason == "length" else "stop",
        last=last,
        context=context,
        total_duration=nanoseconds(total_seconds),
        load_duration=nanoseconds(load_seconds),
        prompt_tokens=finished.prompt_tokens,
        prompt_duration=nanoseconds(finished.prompt_seconds),
        generated_tokens=finished.generated_tokens,
        generate_duration=nanoseconds(finished.generate_seconds),
        cached_tokens=finished.cached_tokens,
        stopped_by=finished.stopped_by,
    )
