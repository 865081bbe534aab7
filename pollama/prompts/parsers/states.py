"""Parsers that read an answer state by state."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from pollama.prompts.parsers.base import Output
from pollama.types.messages import ToolCall

State = TypeVar("State", bound=Enum)
Step: TypeAlias = Callable[[Output], bool]
"""Takes what a state can use from the buffer; true when the next state may find more in it."""


class StateParser(ABC, Generic[State]):
    """Has a buffer, the state that says what it begins with, and a step for each state. Counts the calls."""

    def __init__(self, state: State, steps: Mapping[State, Step]) -> None:
        self._state = state
        self._steps = steps
        self._buffer = ""
        self._calls = 0

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. Raises ParserError for a call that cannot be read."""
        self._buffer += text
        output = Output()
        while self._steps[self._state](output):
            pass
        if done and self._buffer:
            rest, self._buffer = self._buffer, ""
            self._release(rest, output)
        return output

    def _release(self, rest: str, output: Output) -> None:
        """Use what is left at the end of the answer; by default it is dropped."""

    def _add(self, call: ToolCall, output: Output) -> None:
        call.index = self._calls
        self._calls += 1
        output.tool_calls.append(call)
