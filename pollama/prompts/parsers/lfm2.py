"""LFM2.

    [<think> thought </think>] text <|tool_call_start|>[NAME(KEY=VALUE, ...), ...]<|tool_call_end|> text ...

The brackets may be missing. Nothing is shown any more behind calls that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pollama.prompts.parsers.arguments import load_json
from pollama.prompts.parsers.base import Output, OutputParser, ParserContext, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks, Spacing
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.prompts.parsers.pythonic import outside, split_outside
from pollama.prompts.parsers.typed import parse_integer, parse_number
from pollama.prompts.spaces import trim
from pollama.types.generation import CallFormat
from pollama.types.gojson import quote, sorted_maps
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_CALL: Final = "<|tool_call_start|>"
_CALL_END: Final = "<|tool_call_end|>"
_CONSTANTS: Final[dict[str, Json]] = {
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "None": None,
    "null": None,
}
_LITERALS: Final = re.compile(r"""'((?:[^'\\]|\\.)*)'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b""", re.DOTALL)
_JSON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}


def _read_calls(text: str) -> list[ToolCall] | None:
    """Return the calls, or None where the text is no list of calls."""
    text = trim(text)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return list(_calls(trim(text))) or None
    except ValueError:
        return None


def _calls(text: str) -> Iterator[ToolCall]:
    while text:
        opening, closing = _parentheses(text)
        name = trim(text[:opening])
        if not name:
            raise ValueError("a call has no name")
        yield ToolCall(name=name, arguments=dict(_arguments(text[opening + 1 : closing])))
        text = text[closing + 1 :].lstrip(", \t\r\n")


def _parentheses(text: str) -> tuple[int, int]:
    """Return the positions of the first parentheses that match. Raises ValueError where there are none."""
    opening = text.find("(")
    if opening < 0:
        raise ValueError("no call")
    for position, character in outside(text[opening:], opening="(", closing=")"):
        if character == ")":
            return opening, opening + position
    raise ValueError("a call is not closed")


def _arguments(text: str) -> Iterator[tuple[str, Json]]:
    for part in filter(None, map(trim, split_outside(text, ","))):
        key, sign, value = part.partition("=")
        if not (sign and trim(key) and trim(value)):
            raise ValueError("an argument needs a name and a value")
        yield trim(key), _value(trim(value))


def _value(text: str) -> Json:
    if text[0] in "\"'":
        if len(text) < 2 or text[-1] != text[0]:
            raise ValueError("a text is not closed")
        return text[1:-1]
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "[{":
        return _json(text)
    integer = parse_integer(text)
    number = parse_number(text) if integer is None else integer
    return text if number is None else number


def _json(text: str) -> Json:
    """Return a list or object in the notation of Python or JSON; what is neither stays text."""
    try:
        return sorted_maps(load_json(_LITERALS.sub(_as_json, text)))
    except ValueError:
        return text


def _as_json(literal: re.Match[str]) -> str:
    text = literal.group()
    if text in _JSON_WORDS:
        return _JSON_WORDS[text]
    return text if text.startswith('"') else quote(re.sub(r"\\(.)", r"\1", literal[1]))


class _Calls(CallBlocks):
    """Calls between their tags, or an answer that is nothing but calls of declared tools."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__(_CALL, _CALL_END, _read_calls, spacing=Spacing.TRIMMED)
        self._names = frozenset(tool.name for tool in tools)

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part; calls without tags are found in what comes together with the end."""
        if done and not self._inside and (calls := self._bare_calls(text)):
            output = Output()
            self._add(output, calls)
            return output
        output = super().feed(text, done=done)
        if done and not self._inside and not self._unreadable:
            output.content += self._buffer
            self._buffer = ""
        return output

    def _bare_calls(self, text: str) -> list[ToolCall]:
        calls = _read_calls(text) if text else None
        return calls if calls and all(call.name in self._names for call in calls) else []


def _make(context: ParserContext) -> OutputParser:
    return _Calls(context.tools)


def _make_thinking(context: ParserContext) -> OutputParser:
    calls = _make(context)
    if not context.think or context.continues_content:
        return calls
    return Stages(LeadingThought(opening=OPENING, optional=True, trims_thought=True), calls)


_PRESERVED: Final = (OPENING, CLOSING, _CALL, _CALL_END)

LFM2: Final = ParserFamily(
    make=_make,
    tools=True,
    thinking=False,
    preserved=_PRESERVED,
    calls=CallFormat(tag=_CALL, before=("[",), between=("(",), json=False),
)
LFM2_THINKING: Final = replace(LFM2, make=_make_thinking, thinking=True, thought=(OPENING, CLOSING))
