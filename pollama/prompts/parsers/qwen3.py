"""Qwen3 and Qwen3-VL.

[thought </think>] text <tool_call>{"name": NAME, "arguments": {...}}</tool_call> text ...
"""

from __future__ import annotations

from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks, Spacing
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.json_calls import json_call_format, read_json_call
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.types.messages import ToolCall

CALL: Final = "<tool_call>"
CALL_END: Final = "</tool_call>"


def _read_call(text: str) -> list[ToolCall]:
    try:
        call = read_json_call(text)
    except ValueError as error:
        raise ParserError(f"failed to parse JSON: {error}") from None
    if not call.name:
        raise ParserError("empty function name")
    return [call]


def _read_vl_call(text: str) -> list[ToolCall]:
    """Return a call. Unlike Qwen3, the model may leave out the name."""
    try:
        return [read_json_call(text)]
    except ValueError as error:
        raise ParserError(str(error)) from None


def _make(_context: ParserContext) -> OutputParser:
    return CallBlocks(CALL, CALL_END, _read_call)


def _make_thinking(context: ParserContext) -> OutputParser:
    calls = _make(context)
    if context.think is False:
        return calls
    return Stages(LeadingThought(opening=OPENING, ended_by=(CALL,)), calls)


def _make_vl(_context: ParserContext) -> OutputParser:
    return CallBlocks(CALL, CALL_END, _read_vl_call, spacing=Spacing.DROPPED)


def _make_vl_thinking(context: ParserContext) -> OutputParser:
    calls = _make_vl(context)
    return calls if context.continues_content else Stages(LeadingThought(ended_by=(CALL,)), calls)


_FORMAT: Final = json_call_format(CALL, CALL_END)
_THOUGHT: Final = (OPENING, CLOSING)
QWEN3: Final = ParserFamily(make=_make, tools=True, thinking=False, preserved=(CALL, CALL_END), calls=_FORMAT)
QWEN3_THINKING: Final = ParserFamily(
    make=_make_thinking,
    tools=True,
    thinking=True,
    preserved=(OPENING, CLOSING, CALL, CALL_END),
    calls=_FORMAT,
    thought=_THOUGHT,
)
QWEN3_VL: Final = ParserFamily(
    make=_make_vl, tools=True, thinking=False, preserved=(CLOSING, CALL, CALL_END), calls=_FORMAT
)
QWEN3_VL_THINKING: Final = ParserFamily(
    make=_make_vl_thinking,
    tools=True,
    thinking=True,
    preserved=(CLOSING, CALL, CALL_END),
    calls=_FORMAT,
    thought=_THOUGHT,
)
