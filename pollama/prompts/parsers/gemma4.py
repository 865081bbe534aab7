"""Gemma 4.

    text <|channel>thought LF thought <channel|> text <|tool_call>CALL<tool_call|> text ...

CALL is the format of ``gemma_call``. Behind a call a model may repeat its closing tag or begin a result: that noise is
dropped. A call that cannot be read is dropped.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import partial
from typing import Final

from pollama.prompts.parsers.base import Output, ParserContext, ParserFamily
from pollama.prompts.parsers.gemma_call import parse_gemma_call
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag, settled
from pollama.prompts.spaces import GO_SPACES
from pollama.types.generation import CallFormat

_CHANNEL: Final = "<|channel>"
_CHANNEL_END: Final = "<channel|>"
_CALL: Final = "<|tool_call>"
_CALL_END: Final = "<tool_call|>"
_RESULT: Final = "<|tool_response>"
_NAME: Final = "thought\n"
_NOISE: Final = (_CALL_END, _RESULT)


class _State(Enum):
    CONTENT = auto()
    CHANNEL_NAME = auto()
    THINKING = auto()
    CALL = auto()
    AFTER_CALL = auto()


class Gemma4Parser(StateParser[_State]):
    """Reads one answer. Without ``thinks`` thoughts are dropped."""

    def __init__(self, context: ParserContext, *, thinks: bool) -> None:
        self._tools = context.tools
        self._thinks = thinks and bool(context.think)
        last = context.last_message
        goes_on = self._thinks and last is not None and last.role == "tool"
        super().__init__(
            _State.CHANNEL_NAME if goes_on else _State.CONTENT,
            {
                _State.CONTENT: self._content,
                _State.CHANNEL_NAME: self._skip_name,
                _State.THINKING: self._think,
                _State.CALL: self._call,
                _State.AFTER_CALL: self._skip_noise,
            },
        )

    def _content(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, _CHANNEL, _CALL)
        if not tag:
            held = overlap(self._buffer, _CHANNEL, _CALL)
            kept = settled(self._buffer, _CHANNEL, _CALL) if held else len(self._buffer)
            output.content += self._buffer[:kept]
            self._buffer = self._buffer[kept:]
            return False
        output.content += self._buffer[:position].rstrip(GO_SPACES)
        self._buffer = self._buffer[position + len(tag) :]
        self._state = _State.CALL if tag == _CALL else _State.CHANNEL_NAME
        return True

    def _skip_name(self, _output: Output) -> bool:
        if self._buffer != _NAME and _NAME.startswith(self._buffer):
            return False
        self._buffer = self._buffer.removeprefix(_NAME)
        self._state = _State.THINKING
        return True

    def _think(self, output: Output) -> bool:
        thought, found, behind = self._buffer.partition(_CHANNEL_END)
        kept = len(thought.rstrip(GO_SPACES)) if found else settled(thought, _CHANNEL_END)
        if self._thinks:
            output.thinking += thought[:kept]
        self._buffer = behind.lstrip(GO_SPACES) if found else thought[kept:]
        if found:
            self._state = _State.CONTENT
        return bool(found)

    def _call(self, output: Output) -> bool:
        text, found, behind = self._buffer.partition(_CALL_END)
        if not found:
            return False
        self._add_call(text, output)
        self._buffer = behind
        self._state = _State.AFTER_CALL
        return True

    def _add_call(self, text: str, output: Output) -> None:
        try:
            call = parse_gemma_call(text, self._tools)
        except ValueError:
            return
        self._add(call, output)

    def _skip_noise(self, _output: Output) -> bool:
        self._buffer = self._buffer.lstrip(GO_SPACES)
        for tag in _NOISE:
            if self._buffer.startswith(tag):
                self._buffer = self._buffer.removeprefix(tag)
                return True
        if any(tag.startswith(self._buffer) for tag in _NOISE):
            return False
        self._state = _State.CONTENT
        return True

    def _release(self, rest: str, output: Output) -> None:
        if self._state is _State.CONTENT:
            output.content += rest
        elif self._state is _State.CALL:
            self._add_call(rest, output)


_PRESERVED: Final = (_CHANNEL, _CHANNEL_END, _CALL, _CALL_END, _RESULT, '<|"|>')

_FORMAT: Final = CallFormat(tag=_CALL, before=("call:",), between=("{",), json=False)
GEMMA4: Final = ParserFamily(
    make=partial(Gemma4Parser, thinks=True),
    tools=True,
    thinking=True,
    preserved=_PRESERVED,
    calls=_FORMAT,
    thought=(_CHANNEL, _CHANNEL_END),
)
NO_THINKING: Final = ParserFamily(
    make=partial(Gemma4Parser, thinks=False), tools=True, thinking=False, preserved=_PRESERVED, calls=_FORMAT
)
