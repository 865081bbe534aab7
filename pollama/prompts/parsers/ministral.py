"""Ministral.

text [THINK] thought [/THINK] text [TOOL_CALLS]NAME[ARGS]{...} text ...
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.arguments import parse_arguments
from pollama.prompts.parsers.base import Output, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag, settled
from pollama.prompts.spaces import GO_SPACES
from pollama.types.generation import CallFormat
from pollama.types.messages import ToolCall

_THINK: Final = "[THINK]"
_THINK_END: Final = "[/THINK]"
_CALL: Final = "[TOOL_CALLS]"
_ARGUMENTS: Final = "[ARGS]"
_INTERESTING: Final = re.compile(r'["\\{}\[\]]')


class _State(Enum):
    CONTENT = auto()
    THINKING = auto()
    NAME = auto()
    ARGUMENTS = auto()


class MinistralParser(StateParser[_State]):
    """Reads one answer."""

    def __init__(self, context: ParserContext) -> None:
        super().__init__(
            _State.CONTENT,
            {
                _State.CONTENT: self._content,
                _State.THINKING: self._think,
                _State.NAME: self._take_name,
                _State.ARGUMENTS: self._call,
            },
        )
        self._tools = frozenset(tool.name for tool in context.tools)
        self._name = ""
        self._scan = BracketScan()

    def _content(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, _THINK, _CALL)
        if not tag:
            kept = settled(self._buffer, _THINK, _CALL)
            output.content += self._buffer[:kept]
            self._buffer = self._buffer[kept:]
            return False
        output.content += self._buffer[:position].rstrip(GO_SPACES)
        self._buffer = self._buffer[position + len(tag) :]
        self._state = _State.THINKING if tag == _THINK else _State.NAME
        return True

    def _think(self, output: Output) -> bool:
        thought, found, behind = self._buffer.partition(_THINK_END)
        kept = len(thought.rstrip(GO_SPACES)) if found else settled(thought, _THINK_END)
        output.thinking += thought[:kept]
        self._buffer = behind.lstrip(GO_SPACES) if found else thought[kept:]
        if found:
            self._state = _State.CONTENT
        return bool(found)

    def _take_name(self, _output: Output) -> bool:
        name, found, behind = self._buffer.partition(_ARGUMENTS)
        if not found:
            return False
        self._name, self._buffer = name, behind
        self._scan = BracketScan()
        self._state = _State.ARGUMENTS
        return True

    def _call(self, output: Output) -> bool:
        end = self._scan.end_of_value(self._buffer)
        if not end:
            return False
        raw, self._buffer = self._buffer[:end], self._buffer[end:]
        if self._name not in self._tools:
            raise ParserError(f"tool '{self._name}' not found", output)
        try:
            arguments = parse_arguments(raw)
        except ValueError as error:
            raise ParserError(str(error), output) from None
        self._add(ToolCall(name=self._name, arguments=arguments), output)
        self._state = _State.CONTENT
        return True


class BracketScan:
    """Finds the end of the first JSON object or array in a growing text."""

    def __init__(self) -> None:
        self._position = 0
        self._depth = 0
        self._in_string = False

    def end_of_value(self, text: str) -> int:
        """Return the position behind the value, or 0; ``text`` must go on from what was scanned before."""
        while match := _INTERESTING.search(text, self._position):
            character = match.group()
            if character == "\\" and match.end() == len(text):
                return 0
            self._position = match.end() + (character == "\\")
            if character == '"':
                self._in_string = not self._in_string
            elif not self._in_string and self._closes(character):
                return match.end()
        self._position = len(text)
        return 0

    def _closes(self, bracket: str) -> bool:
        if bracket == "\\":
            return False
        self._depth += 1 if bracket in "{[" else -1
        return self._depth == 0 and bracket in "}]"


FAMILY: Final = ParserFamily(
    make=MinistralParser,
    tools=True,
    thinking=False,
    preserved=(_CALL, _THINK, _THINK_END, _ARGUMENTS),
    calls=CallFormat(tag=_CALL, between=(_ARGUMENTS,)),
    thought=(_THINK, _THINK_END),
)
