"""Glimmer.

    [<|start|>assistant] to=RECIPIENT<|message|>BODY<|eom|> ... <|eot|>

RECIPIENT is ``self`` for thinking, ``user`` for content, or a tool, whose call in the format of ``atem`` is the body.
The prompt ends with the start of the first message. The next message may begin without the end of the one before.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.atem import CALLS, CALLS_END, parse_atem_call
from pollama.prompts.parsers.base import Output, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag
from pollama.prompts.spaces import GO_SPACES, trim
from pollama.types.goquote import go_quote

_START: Final = "<|start|>"
_MESSAGE: Final = "<|message|>"
_ENDS: Final = ("<|eom|>", "<|eot|>")
_NEXT: Final = "<|start|>assistant to="
_RECIPIENT: Final = re.compile(r"to=(\S+)")
_LONGEST_NAME: Final = 256
"""A recipient is not longer, in characters: text behind the start of a message is not held back for ever."""


class _State(Enum):
    HEADER = auto()
    BODY_START = auto()
    BODY = auto()
    CALL = auto()


class GlimmerParser(StateParser[_State]):
    """Reads one answer."""

    def __init__(self, context: ParserContext) -> None:
        super().__init__(
            _State.HEADER,
            {
                _State.HEADER: self._header,
                _State.BODY_START: self._body_start,
                _State.BODY: self._body,
                _State.CALL: self._call,
            },
        )
        self._tools = context.tools
        self._names = frozenset(tool.name for tool in context.tools)
        self._thinks = context.think is not False
        self._recipient = ""

    def _header(self, _output: Output) -> bool:
        header, found, behind = self._buffer.partition(_MESSAGE)
        if not found:
            return False
        header = trim(trim(header).removeprefix(_START).removeprefix("assistant"))
        recipient = _RECIPIENT.fullmatch(header)
        self._enter(recipient[1] if recipient else "")
        self._buffer = behind
        return True

    def _enter(self, recipient: str) -> None:
        self._recipient = self._tool(recipient) or recipient
        if self._recipient in self._names:
            self._state = _State.CALL
        else:
            self._state = _State.BODY if recipient == "self" else _State.BODY_START

    def _tool(self, recipient: str) -> str:
        """Return the tool that a recipient names, as such or behind a namespace; an empty text for none."""
        names = (recipient, recipient.rpartition(".")[2])
        return next((name for name in names if name in self._names), "")

    def _body_start(self, output: Output) -> bool:
        """Hold a body that may be a call."""
        trimmed = self._buffer.lstrip(GO_SPACES)
        if not trimmed.startswith(CALLS):
            if CALLS.startswith(trimmed):
                return False
            self._state = _State.BODY
            return True
        end = self._end_of_call()
        if end < 0:
            return False
        try:
            self._add_call(self._buffer[:end], output)
        except ValueError:
            self._state = _State.BODY
            return True
        self._end_message(end)
        return True

    def _body(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, *_ENDS, _NEXT)
        kept = position if tag else len(self._buffer) - overlap(self._buffer, *_ENDS, _NEXT)
        self._show(self._buffer[:kept], output)
        self._buffer = self._buffer[kept:]
        if tag in _ENDS:
            self._buffer = self._buffer.removeprefix(tag)
            self._state = _State.HEADER
        return bool(tag) and (tag in _ENDS or self._next_message(output))

    def _next_message(self, output: Output) -> bool:
        """Look at what may be the header of the next message; true when it is known what it is."""
        name, found, _ = self._buffer[len(_NEXT) :].partition(_MESSAGE)
        if found and (name in ("self", "user") or self._tool(name)):
            self._state = _State.HEADER
            return True
        if not found and len(name) < _LONGEST_NAME and not any(space in name for space in GO_SPACES):
            return False
        self._show(self._buffer[: len(_START)], output)
        self._buffer = self._buffer[len(_START) :]
        return True

    def _show(self, text: str, output: Output) -> None:
        if self._recipient != "self":
            output.content += text
        elif self._thinks:
            output.thinking += text

    def _call(self, output: Output) -> bool:
        end = self._end_of_call()
        if end < 0:
            return False
        self._add_expected_call(self._buffer[:end], output)
        self._end_message(end)
        return True

    def _end_of_call(self) -> int:
        """Return where the message ends that holds a call, or -1; end tags inside of the call do not count."""
        begin = self._buffer.find(CALLS_END)
        if begin < 0:
            return -1
        ends = [position for tag in _ENDS if (position := self._buffer.find(tag, begin)) >= 0]
        return min(ends, default=-1)

    def _end_message(self, position: int) -> None:
        tag = next(tag for tag in _ENDS if self._buffer.startswith(tag, position))
        self._buffer = self._buffer[position + len(tag) :]
        self._state = _State.HEADER

    def _add_expected_call(self, text: str, output: Output) -> None:
        try:
            self._add_call(text, output)
        except ValueError as error:
            raise ParserError(f"parse Glimmer call to {self._recipient}: {error}", output) from None

    def _add_call(self, text: str, output: Output) -> None:
        call = parse_atem_call(text, self._tools)
        if self._state is _State.CALL and call.name != self._recipient:
            names = f"recipient {go_quote(self._recipient)} does not match ATEM invoke {go_quote(call.name)}"
            raise ParserError(f"Glimmer {names}", output)
        if call.name not in self._names:
            raise ValueError("the tool is not declared")
        self._add(call, output)

    def _release(self, rest: str, output: Output) -> None:
        if self._state is _State.CALL:
            self._add_expected_call(rest, output)
        elif self._state is _State.HEADER:
            output.content += rest
        else:
            self._show(rest, output)


FAMILY: Final = ParserFamily(make=GlimmerParser, tools=True, thinking=True, preserved=(_START, _MESSAGE, *_ENDS))
