"""Qwen3-Coder, and the models that call like it: Qwen3.5, Ornith and Nemotron 3.

    [[<think>] thought </think>] text <tool_call>CALL</tool_call> text ...

CALL is the almost-XML of ``xml_call``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.prompts.parsers.qwen3 import CALL, CALL_END
from pollama.prompts.parsers.xml_call import parse_xml_call
from pollama.types.generation import CallFormat
from pollama.types.messages import ToolCall

_TAGS: Final = (OPENING, CLOSING, CALL, CALL_END)


def _make(context: ParserContext) -> OutputParser:
    def read(text: str) -> list[ToolCall]:
        try:
            return [parse_xml_call(text, context.tools)]
        except ValueError as error:
            raise ParserError(str(error)) from None

    return CallBlocks(CALL, CALL_END, read)


def _make_thinking(context: ParserContext, *, trims_call: bool) -> OutputParser:
    calls = _make(context)
    if context.think is False or context.continues_content:
        return calls
    thought = LeadingThought(opening=OPENING, ended_by=(CALL,), trims_thought=True, trims_call=trims_call)
    return Stages(thought, calls)


_FORMAT: Final = CallFormat(tag=CALL, before=("␣<function=",), between=(">",), json=False)
FAMILY: Final = ParserFamily(make=_make, tools=True, thinking=False, preserved=(CALL, CALL_END), calls=_FORMAT)
QWEN35: Final = ParserFamily(
    make=partial(_make_thinking, trims_call=True),
    tools=True,
    thinking=True,
    preserved=_TAGS,
    calls=_FORMAT,
    thought=(OPENING, CLOSING),
)
NEMOTRON3: Final = replace(QWEN35, make=partial(_make_thinking, trims_call=False))
