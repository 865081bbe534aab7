"""Calls that stand between two tags in the text of an answer.

text OPENING calls CLOSING text ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto

from pollama.prompts.parsers.base import Output
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.withhold import settled
from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import ToolCall

ReadCalls = Callable[[str], Sequence[ToolCall] | None]
"""Turns the text between two tags into calls; None when nothing that follows can be read. Raises ParserError."""


class Spacing(Enum):
    """What becomes of white space around a call."""

    KEPT = auto()
    """It is text."""
    TRIMMED = auto()
    """What arrives in the same part as a tag is dropped."""
    HELD = auto()
    """It is held back before a call and dropped; behind one as with TRIMMED."""
    DROPPED = auto()
    """It is dropped on both sides, whenever it arrives."""


class CallBlocks:
    """Finds the calls. What could have been the beginning of a tag is lost at the end, and so is an open call.

    ``read_rest`` reads the calls that the end of the answer leaves open instead.
    """

    def __init__(
        self,
        opening: str,
        closing: str,
        read: ReadCalls,
        *,
        spacing: Spacing = Spacing.HELD,
        read_rest: ReadCalls | None = None,
    ) -> None:
        self._opening = opening
        self._closing = closing
        self._read = read
        self._read_rest = read_rest
        self._spacing = spacing
        self._inside = False
        self._after_call = False
        self._unreadable = False
        self._buffer = ""
        self._calls = 0

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. Raises ParserError for a call that cannot be read."""
        if self._unreadable:
            return Output()
        self._buffer += text
        output = Output()
        while self._step(output):
            pass
        if done and self._inside and self._read_rest:
            self._add(output, self._read_rest(self._buffer))
            self._inside = False
            self._buffer = ""
        return output

    def _step(self, output: Output) -> bool:
        return self._close(output) if self._inside else self._open(output)

    def _open(self, output: Output) -> bool:
        if self._after_call:
            self._buffer = self._buffer.lstrip(GO_SPACES)
            self._after_call = not self._buffer
        before, found, behind = self._buffer.partition(self._opening)
        kept = self._content_size(before, is_whole=bool(found))
        output.content += before[:kept]
        self._buffer = behind if found else before[kept:]
        self._inside = bool(found)
        return self._inside

    def _content_size(self, text: str, *, is_whole: bool) -> int:
        """Return how much of the text in front of a call is shown."""
        if is_whole:
            return len(text) if self._spacing is Spacing.KEPT else len(text.rstrip(GO_SPACES))
        if self._spacing in (Spacing.HELD, Spacing.DROPPED):
            return settled(text, self._opening)
        return len(text) - overlap(text, self._opening)

    def _close(self, output: Output) -> bool:
        inside, found, behind = self._buffer.partition(self._closing)
        if not found:
            return False
        self._add(output, self._read(inside))
        self._buffer = behind if self._spacing is Spacing.KEPT else behind.lstrip(GO_SPACES)
        self._inside = False
        self._after_call = self._spacing is Spacing.DROPPED
        return not self._unreadable

    def _add(self, output: Output, calls: Sequence[ToolCall] | None) -> None:
        self._unreadable = calls is None
        for call in calls or ():
            call.index = self._calls
            self._calls += 1
            output.tool_calls.append(call)
