"""Qwen3-Coder, and the models that call like it: Qwen3.5, Ornith and Nemotron 3.

    [[<think>] thought </think>] text <tool_call>CALL</tool_call> text ...

CALL is the almost-XML of ``xml_call``.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.prompts.parsers.qwen3 import CALL, CALL_END
from pollama.prompts.parsers.xml_call import parse_xml_call
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


FAMILY: Final = ParserFamily(make=_make, tools=True, thinking=False, preserved=(CALL, CALL_END))
QWEN35: Final = ParserFamily(make=partial(_make_thinking, trims_call=True), tools=True, thinking=True, preserved=_TAGS)
NEMOTRON3: Final = ParserFamily(
    make=partial(_make_thinking, trims_call=False), tools=True, thinking=True, preserved=_TAGS
)
