"""A thought at the start of an answer, for models whose prompt has begun it already.

[<think>] thought </think> [spaces] answer
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.base import Output
from pollama.prompts.parsers.withhold import first_tag, settled
from pollama.prompts.spaces import GO_SPACES

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


class _State(Enum):
    OPENING = auto()
    BEFORE_THOUGHT = auto()
    THINKING = auto()
    BEFORE_ANSWER = auto()
    ANSWER = auto()


class LeadingThought:
    """Separates the thought; the answer is handed on as content, for another parser.

    ``opening``: tag that may stand in front. ``optional``: without that tag there is no thought at all.
    ``ended_by``: tags of the answer that end a thought which was not closed; ``trims_call`` drops white space behind
    them. White space around the closing tag is dropped, that behind the opening tag with ``trims_thought``; without
    ``trims_answer`` white space is kept that arrives later than the closing tag.
    """

    def __init__(
        self,
        closing: str = CLOSING,
        *,
        opening: str = "",
        optional: bool = False,
        ended_by: Sequence[str] = (),
        trims_thought: bool = False,
        trims_call: bool = False,
        trims_answer: bool = True,
    ) -> None:
        self._closing = closing
        self._opening = opening
        self._optional = optional
        self._ends = (closing, *ended_by)
        self._trims_thought = trims_thought
        self._after_thought = _State.BEFORE_ANSWER if trims_answer else _State.ANSWER
        self._after_call = _State.BEFORE_ANSWER if trims_call else _State.ANSWER
        self._state = _State.OPENING if opening else _State.THINKING
        self._buffer = ""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. A tag that is not complete at the end of the answer is dropped."""
        self._buffer += text
        output = Output()
        while self._step(output):
            pass
        return output

    def _step(self, output: Output) -> bool:
        """Consume the buffer as far as the state goes; true when the next state may find more in it."""
        match self._state:
            case _State.OPENING:
                return self._open()
            case _State.BEFORE_THOUGHT:
                return self._skip_spaces(_State.THINKING)
            case _State.THINKING:
                return self._think(output)
            case _State.BEFORE_ANSWER:
                return self._skip_spaces(_State.ANSWER)
            case _State.ANSWER:
                output.content += self._buffer
                self._buffer = ""
        return False

    def _open(self) -> bool:
        trimmed = self._buffer.lstrip(GO_SPACES)
        if trimmed.startswith(self._opening):
            self._buffer = trimmed.removeprefix(self._opening)
            self._state = _State.BEFORE_THOUGHT if self._trims_thought else _State.THINKING
            return True
        if self._opening.startswith(trimmed):
            return False
        self._state = _State.ANSWER if self._optional else _State.THINKING
        return True

    def _skip_spaces(self, following: _State) -> bool:
        self._buffer = self._buffer.lstrip(GO_SPACES)
        if self._buffer:
            self._state = following
        return bool(self._buffer)

    def _think(self, output: Output) -> bool:
        position, end = first_tag(self._buffer, *self._ends)
        if not end:
            kept = settled(self._buffer, *self._ends)
            output.thinking += self._buffer[:kept]
            self._buffer = self._buffer[kept:]
            return False
        output.thinking += self._buffer[:position].rstrip(GO_SPACES)
        self._buffer = self._buffer[position + len(end) :]
        if end == self._closing:
            self._buffer = self._buffer.lstrip(GO_SPACES)
            self._state = self._after_thought
        else:
            output.content += end
            self._state = self._after_call
        return True
