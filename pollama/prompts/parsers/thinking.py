"""The generic thinking parser: one thought between two tags at the start of an answer.

    [spaces] OPENING [spaces] thought CLOSING [spaces] answer

Anything but the opening tag at the start means that there is no thought. Only the first closing tag counts.
"""

from __future__ import annotations

from enum import Enum

from pollama.prompts.parsers.base import Output
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.spaces import GO_SPACES


class ThinkingState(Enum):
    """Where in the answer the parser is."""

    LOOKING_FOR_OPENING = "LookingForOpening"
    BEFORE_THOUGHT = "ThinkingStartedEatingWhitespace"
    THINKING = "Thinking"
    BEFORE_ANSWER = "ThinkingDoneEatingWhitespace"
    DONE = "ThinkingDone"


class ThinkingParser:
    """Separates the thought from the answer."""

    def __init__(self, opening: str, closing: str) -> None:
        self._opening = opening
        self._closing = closing
        self.state = ThinkingState.LOOKING_FOR_OPENING
        self.buffer = ""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part; at the end what was held back, as it could have been a tag, is released."""
        self.buffer += text
        output = Output()
        while self._step(output):
            pass
        if done:
            self._release(output)
        return output

    def _step(self, output: Output) -> bool:
        """Consume the buffer as far as the state goes; true when the next state may find more in it."""
        match self.state:
            case ThinkingState.LOOKING_FOR_OPENING:
                return self._look_for_opening(output)
            case ThinkingState.BEFORE_THOUGHT:
                return self._skip_spaces(ThinkingState.THINKING)
            case ThinkingState.THINKING:
                return self._think(output)
            case ThinkingState.BEFORE_ANSWER:
                return self._skip_spaces(ThinkingState.DONE)
            case ThinkingState.DONE:
                output.content += self.buffer
                self.buffer = ""
        return False

    def _look_for_opening(self, output: Output) -> bool:
        trimmed = self.buffer.lstrip(GO_SPACES)
        if trimmed.startswith(self._opening):
            self.buffer = _split(trimmed, self._opening)[1]
            self.state = ThinkingState.BEFORE_THOUGHT
            return True
        if not self._opening.startswith(trimmed):
            self.state = ThinkingState.DONE
            output.content += self.buffer
            self.buffer = ""
        return False

    def _skip_spaces(self, following: ThinkingState) -> bool:
        self.buffer = self.buffer.lstrip(GO_SPACES)
        if not self.buffer:
            return False
        self.state = following
        return True

    def _think(self, output: Output) -> bool:
        if self._closing in self.buffer:
            thought, self.buffer = _split(self.buffer, self._closing)
            output.thinking += thought
            self.state = ThinkingState.BEFORE_ANSWER
            return True
        held = overlap(self.buffer, self._closing)
        output.thinking += self.buffer[: len(self.buffer) - held]
        self.buffer = self.buffer[len(self.buffer) - held :]
        return False

    def _release(self, output: Output) -> None:
        if self.state is ThinkingState.THINKING:
            output.thinking += self.buffer
        else:
            output.content += self.buffer
        self.buffer = ""


def _split(text: str, tag: str) -> tuple[str, str]:
    """Return what is before and behind the first tag; an empty tag splits behind the first character, as in Go."""
    if not tag:
        return text[:1], text[1:]
    before, _, behind = text.partition(tag)
    return before, behind
