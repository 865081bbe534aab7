"""GLM-4.7 and GLM-OCR.

    [thought </think>] text <tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...</tool_call> text ...

GLM-OCR begins a thought itself, with ``<think>``. A model may lose single argument tags, and the last closing tag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.prompts.parsers.markup import Element, read_element
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.typed import declared_property, typed_block
from pollama.prompts.spaces import split_first_word, trim
from pollama.types.generation import CallFormat
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_CALL: Final = "<tool_call>"
_CALL_END: Final = "</tool_call>"
_KEY: Final = "arg_key"
_VALUE: Final = "arg_value"
_TAGS: Final = re.compile(r"(</?arg_(?:key|value)>)")


class _Calls:
    """Reads the text between the tags of a call."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tools

    def read(self, text: str) -> list[ToolCall]:
        """Return a call, with lost argument tags put back."""
        try:
            return [self._call(_repaired_element(text))]
        except ValueError as error:
            raise ParserError(str(error)) from None

    def read_rest(self, text: str) -> list[ToolCall]:
        """Return a call that lacks no more than its closing tag."""
        try:
            call = self._call(_element(text[: len(text) - overlap(text, _CALL_END)]))
            self._check(call)
        except ValueError as error:
            raise ParserError(f"incomplete GLM tool call: {error}") from None
        return [call]

    def _call(self, element: Element) -> ToolCall:
        name = trim(element.text)
        if not name:
            raise ValueError("empty function name")
        keys, values = element.texts(_KEY), element.texts(_VALUE)
        if len(keys) != len(values):
            raise ValueError(f"mismatched arg_key and arg_value counts: {len(keys)} keys, {len(values)} values")
        arguments: dict[str, Json] = {}
        for key, value in zip(map(trim, keys), values, strict=True):
            arguments[key] = typed_block(value, declared_property(self._tools, name, key))
        return ToolCall(name=name, arguments=arguments)

    def _check(self, call: ToolCall) -> None:
        """Raise ValueError unless the call is one that a tool can answer."""
        arguments = call.arguments or {}
        if "" in arguments:
            raise ValueError("empty argument name")
        tool = next((tool for tool in self._tools if tool.name == call.name), None)
        if tool is None:
            raise ValueError(f'tool "{call.name}" is not declared')
        for key in tool.parameters.required:
            if key not in arguments:
                raise ValueError(f'required argument "{key}" is missing for tool "{call.name}"')


def _element(text: str) -> Element:
    return read_element("tool_call", text, (_KEY, _VALUE))


def _repaired_element(text: str) -> Element:
    try:
        return _element(text)
    except ValueError:
        return _element(_repaired(text))


def _repaired(text: str) -> str:
    """Return ``text`` with the argument tags put in that are missing between the others."""
    parts: list[str] = []
    inside = ""
    for part in _TAGS.split(text):
        name = part.strip("</>") if _TAGS.fullmatch(part) else ""
        if not name:
            parts.append(part)
        elif part.startswith("</"):
            if inside != name:
                parts[-1:] = _opened(parts[-1], name, is_first=len(parts) == 1)
            parts.append(part)
            inside = ""
        else:
            parts += [f"</{inside}>", part] if inside else [part]
            inside = name
    return "".join(parts) + (f"</{inside}>" if inside else "")


def _opened(text: str, name: str, *, is_first: bool) -> list[str]:
    """Return the text in front of a closing tag with the opening one put in, behind the name of the tool."""
    before, inner = split_first_word(text) if is_first else ("", text)
    return [before, f"<{name}>", trim(inner) if name == _KEY else inner]


def _calls(context: ParserContext) -> CallBlocks:
    calls = _Calls(context.tools)
    return CallBlocks(_CALL, _CALL_END, calls.read, read_rest=calls.read_rest)


def _make_ocr(context: ParserContext) -> OutputParser:
    return Stages(LeadingThought(opening=OPENING, optional=True, trims_thought=True), _calls(context))


def _make(context: ParserContext) -> OutputParser:
    return _make_ocr(context) if context.think is False else Stages(LeadingThought(), _calls(context))


_PRESERVED: Final = (
    OPENING,
    CLOSING,
    _CALL,
    _CALL_END,
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
)

GLM47: Final = ParserFamily(
    make=_make,
    tools=True,
    thinking=True,
    preserved=_PRESERVED,
    calls=CallFormat(tag=_CALL, between=("<arg_key>", _CALL_END), json=False),
    thought=(OPENING, CLOSING),
)
GLM_OCR: Final = replace(GLM47, make=_make_ocr, thinking=False)
