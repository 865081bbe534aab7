"""Calls that stand between two tags in the text of an answer.

text OPENING call CLOSING text ...
"""

from __future__ import annotations

from collections.abc import Callable

from pollama.prompts.parsers.base import Output
from pollama.prompts.parsers.withhold import settled
from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import ToolCall

ReadCall = Callable[[str], ToolCall]
"""Turns the text between two tags into a call. Raises ParserError."""


class CallBlocks:
    """Finds the calls. White space before a call is dropped, and what arrives with the end of one.

    ``trims``: white space that arrives later is dropped as well.

    ``read_rest`` reads a call that the end of the answer leaves open; without it such a call is dropped.
    """

    def __init__(
        self, opening: str, closing: str, read: ReadCall, *, trims: bool = False, read_rest: ReadCall | None = None
    ) -> None:
        self._opening = opening
        self._closing = closing
        self._read = read
        self._read_rest = read_rest
        self._trims = trims
        self._inside = False
        self._after_call = False
        self._buffer = ""
        self._calls = 0

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. Raises ParserError for a call that cannot be read."""
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
        kept = len(before.rstrip(GO_SPACES)) if found else settled(before, self._opening)
        output.content += before[:kept]
        self._buffer = behind if found else before[kept:]
        self._inside = bool(found)
        return self._inside

    def _close(self, output: Output) -> bool:
        inside, found, behind = self._buffer.partition(self._closing)
        if not found:
            return False
        self._add(output, self._read(inside))
        self._buffer = behind.lstrip(GO_SPACES)
        self._inside = False
        self._after_call = self._trims
        return True

    def _add(self, output: Output, call: ToolCall) -> None:
        call.index = self._calls
        self._calls += 1
        output.tool_calls.append(call)
