"""OLMo 3 and OLMo 3 Think.

    text <function_calls>NAME(KEY=VALUE, ...) one call a line </function_calls> text ...
    thought </think> [spaces] answer

A VALUE is written as in Python or JSON; anything else is text.
"""

from __future__ import annotations

import re
from typing import Final

from pollama.prompts.parsers.base import Output, OutputParser, ParserContext, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks, Spacing
from pollama.prompts.parsers.leading_thought import LeadingThought
from pollama.prompts.parsers.passthrough import Passthrough
from pollama.prompts.parsers.pythonic import split_outside
from pollama.prompts.parsers.typed import parse_integer, parse_number
from pollama.prompts.spaces import trim
from pollama.types.generation import CallFormat
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_CALLS: Final = "<function_calls>"
_CALLS_END: Final = "</function_calls>"
_FORM: Final = re.compile(r"(\w+)\((.*)\)", re.ASCII)
_CONSTANTS: Final[dict[str, Json]] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
    "nil": None,
}
_ESCAPE: Final = re.compile(r"""\\([nrt\\"'])""")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def _read_calls(text: str) -> list[ToolCall]:
    """Return the calls of all lines, or none where one cannot be read."""
    try:
        return [_call(line) for line in map(trim, text.split("\n")) if line]
    except ValueError:
        return []


def _call(line: str) -> ToolCall:
    found = _FORM.fullmatch(line)
    if not found:
        raise ValueError("no call")
    arguments: dict[str, Json] = {}
    for part in filter(None, map(trim, split_outside(found[2], ","))):
        key, sign, value = part.partition("=")
        if not sign:
            raise ValueError("an argument has no name")
        arguments[trim(key)] = sorted_maps(_value(trim(value)))
    return ToolCall(name=found[1], arguments=arguments)


def _value(text: str) -> Json:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    ends = text[:1] + text[-1:] if len(text) > 1 else ""
    if ends in ('""', "''"):
        return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
    if ends == "[]":
        return [_value(trim(part)) for part in split_outside(text[1:-1], ",") if trim(part)]
    if ends == "{}":
        return dict(_pair(part) for part in split_outside(text[1:-1], ",") if trim(part))
    integer = parse_integer(text)
    number = parse_number(text) if integer is None else integer
    return text if number is None else number


def _pair(text: str) -> tuple[str, Json]:
    parts = split_outside(text, ":")
    if len(parts) < 2:
        raise ValueError("an entry has no value")
    return str(trim(parts[0]).strip("\"'")), _value(trim(":".join(parts[1:])))


class _Calls(CallBlocks):
    """Calls between their tags. What comes together with the end of the answer is text."""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part."""
        if not done or self._inside:
            return super().feed(text, done=done)
        content, self._buffer = self._buffer + text, ""
        return Output(content=content)


def _make(_context: ParserContext) -> OutputParser:
    return _Calls(_CALLS, _CALLS_END, _read_calls, spacing=Spacing.KEPT)


def _make_thinking(context: ParserContext) -> OutputParser:
    return Passthrough() if context.continues_content else LeadingThought(trims_answer=False)


OLMO3: Final = ParserFamily(
    make=_make,
    tools=True,
    thinking=False,
    preserved=(_CALLS, _CALLS_END),
    calls=CallFormat(tag=_CALLS, between=("(",), json=False),
)
THINKING: Final = ParserFamily(make=_make_thinking, tools=False, thinking=True)
