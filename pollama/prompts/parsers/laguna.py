"""Laguna and Poolside.

    [<think>] thought </think> text <tool_call>CALL</tool_call> text <user>CALL</user> text {"name": ...} text

CALL is one of the formats of ``laguna_call``. What a model puts between the tags of a user is a call only with
arguments. Thoughts may come anywhere; they are dropped where the request does not think.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import Final

from pollama.prompts.parsers.base import Output, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.laguna_call import has_arguments, parse_laguna_call, parse_laguna_json
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.scan import BalanceScanner
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag
from pollama.prompts.spaces import GO_SPACES
from pollama.types.generation import CallFormat

_THINK: Final = "<think>"
_THINK_END: Final = "</think>"
_CALL: Final = "<tool_call>"
_CALL_END: Final = "</tool_call>"
_USER: Final = "<user>"
_USER_END: Final = "</user>"
_TAGS: Final = (_THINK, _THINK_END, _CALL, _USER)
_JSON: Final = re.compile(r'\{\s*"name"')
_JSON_BEGINNING: Final = re.compile(r'\{\s*(?:"(?:n(?:a(?:me?)?)?)?)?\Z')


class _State(Enum):
    CONTENT = auto()
    THINK_TAG = auto()
    THINKING = auto()
    CALL = auto()
    USER = auto()
    JSON = auto()


class LagunaParser(StateParser[_State]):
    """Reads one answer. With ``goes_on`` the continuation of an answer begins with content, not with a thought."""

    def __init__(self, context: ParserContext, *, goes_on: bool) -> None:
        self._tools = context.tools
        self._thinks = bool(context.think)
        last = context.last_message
        is_continued = goes_on and last is not None and last.role == "assistant"
        state = _State.THINK_TAG if self._thinks and not is_continued else _State.CONTENT
        super().__init__(
            state,
            {
                _State.CONTENT: self._content,
                _State.THINK_TAG: self._skip_think_tag,
                _State.THINKING: self._think,
                _State.CALL: self._call,
                _State.USER: self._user,
                _State.JSON: self._json,
            },
        )
        self._objects = BalanceScanner("{", "}")
        self._began = False
        self._showed = False

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part, without the white space that an answer begins with. Raises as other parsers."""
        text = text if self._began else text.lstrip(GO_SPACES)
        self._began = self._began or bool(text)
        return super().feed(text, done=done)

    def _content(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, *_TAGS)
        found = _JSON.search(self._buffer, 0, position if tag else len(self._buffer)) if self._tools else None
        if found:
            self._take_content(found.start(), output)
            self._objects.reset()
            self._state = _State.JSON
            return True
        if not tag:
            self._release_content(output)
            return False
        self._take_content(position, output)
        if tag == _USER:
            self._state = _State.USER
            return True
        self._buffer = self._buffer.removeprefix(tag)
        if tag == _CALL:
            self._state = _State.CALL
            return True
        self._buffer = self._buffer.lstrip(GO_SPACES)
        self._state = _State.THINKING if tag == _THINK else _State.CONTENT
        return True

    def _release_content(self, output: Output) -> None:
        """Show what is no beginning of a tag or call, nor white space at the end or in front of all content."""
        if not self._showed and not self._buffer.strip(GO_SPACES):
            self._buffer = ""
        json = _JSON_BEGINNING.search(self._buffer) if self._tools else None
        held = overlap(self._buffer, *_TAGS)
        kept = len(self._buffer) - held
        if json or not held:
            kept = len(self._buffer[: json.start() if json else kept].rstrip(GO_SPACES))
        self._show(self._buffer[:kept], output)
        self._buffer = self._buffer[kept:]

    def _show(self, text: str, output: Output) -> None:
        output.content += text
        self._showed = self._showed or bool(text)

    def _take_content(self, size: int, output: Output) -> None:
        self._show(self._buffer[:size].rstrip(GO_SPACES), output)
        self._buffer = self._buffer[size:]

    def _skip_think_tag(self, _output: Output) -> bool:
        if self._buffer != _THINK and _THINK.startswith(self._buffer):
            return False
        self._buffer = self._buffer.removeprefix(_THINK)
        self._state = _State.THINKING
        return True

    def _think(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, _THINK_END, _CALL)
        if not tag:
            self._think_on(output)
            return False
        self._show_thought(self._buffer[:position].rstrip(GO_SPACES), output)
        self._buffer = self._buffer[position:]
        if tag == _THINK_END:
            self._buffer = self._buffer.removeprefix(tag).lstrip(GO_SPACES)
        self._state = _State.CONTENT
        return True

    def _think_on(self, output: Output) -> None:
        """Release thought up to a tag that may begin, or else up to white space: whole words at a time."""
        held = overlap(self._buffer, _THINK_END, _CALL)
        words = len(self._buffer.rstrip(GO_SPACES))
        kept = len(self._buffer) - held if held else words if words < len(self._buffer) else 0
        self._show_thought(self._buffer[:kept], output)
        self._buffer = self._buffer[kept:]

    def _show_thought(self, text: str, output: Output) -> None:
        if self._thinks:
            output.thinking += text

    def _call(self, output: Output) -> bool:
        text, found, behind = self._buffer.partition(_CALL_END)
        if not found:
            return False
        self._buffer = behind.lstrip(GO_SPACES)
        self._add_call(text, output)
        self._state = _State.CONTENT
        return True

    def _user(self, output: Output) -> bool:
        text, found, behind = self._buffer.partition(_USER_END)
        if not found:
            return False
        if has_arguments(text):
            self._add_call(text.removeprefix(_USER), output)
            self._buffer = behind.lstrip(GO_SPACES)
        else:
            self._show(text + found, output)
            self._buffer = behind
        self._state = _State.CONTENT
        return True

    def _json(self, output: Output) -> bool:
        """Take an object that is a call; another one is text."""
        span = self._objects.next_span(self._buffer)
        if not span:
            return False
        text, self._buffer = self._buffer[: span[1]], self._buffer[span[1] :]
        self._state = _State.CONTENT
        try:
            self._add(parse_laguna_json(text), output)
        except ValueError:
            self._show(text, output)
        else:
            self._buffer = self._buffer.lstrip(GO_SPACES)
        return True

    def _add_call(self, text: str, output: Output) -> None:
        try:
            self._add(parse_laguna_call(text, self._tools), output)
        except ValueError as error:
            raise ParserError(str(error)) from None

    def _release(self, rest: str, output: Output) -> None:
        if self._state is _State.CALL:
            if rest.strip(GO_SPACES):
                self._add_call(rest, output)
        elif self._state in (_State.THINK_TAG, _State.THINKING):
            self._show_thought(rest.rstrip(GO_SPACES), output)
        else:
            output.content += rest.rstrip(GO_SPACES)


_PRESERVED: Final = (
    _THINK,
    _THINK_END,
    _CALL,
    _CALL_END,
    _USER,
    _USER_END,
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
)

LAGUNA: Final = ParserFamily(
    make=partial(LagunaParser, goes_on=True),
    tools=True,
    thinking=True,
    preserved=_PRESERVED,
    calls=CallFormat(tag=_CALL, between=("<arg_key>", _CALL_END), json=False),
    thought=(_THINK, _THINK_END),
)
POOLSIDE: Final = replace(LAGUNA, make=partial(LagunaParser, goes_on=False))
