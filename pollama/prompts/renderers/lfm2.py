"""LFM2 and LFM2 Thinking.

Wire format: BOS, then ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn. The system turn ends with the list of
tools. An assistant turn holds thoughts (thinking models only), calls and content in this order; the calls are one list
in Python's form, ``<|tool_call_start|>[NAME(KEY=VALUE,...)]<|tool_call_end|>``, values are JSON that does not escape
HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.calls import keyword_call
from pollama.prompts.renderers.chatml import ANSWER, turn
from pollama.prompts.renderers.function_text import raw_function_json
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.queries import is_prefill, last_of_role
from pollama.prompts.renderers.values import raw_spaced_json
from pollama.prompts.spaces import trim
from pollama.prompts.tool_json import function_json
from pollama.types.messages import Message, Tool

_BOS: Final = "<|startoftext|>"
_UNTHINK: Final = "</think>"


def _render(context: RenderContext, *, writes_thoughts: bool) -> str:
    messages, images = context.messages, ImageWriter(context, "<image>")
    leads = bool(messages) and messages[0].role == "system"
    text = _BOS + _system_turn(messages[0].content if leads else "", context.tools)
    keeps_thoughts = writes_thoughts or bool(context.think)
    last_answer = last_of_role(messages, "assistant")
    for index in range(1 if leads else 0, len(messages)):
        message = messages[index]
        content = images.content(index, message)
        if message.role == "tool":
            content = f"<|tool_response_start|>{content}<|tool_response_end|>"
        if message.role == "assistant":
            content = content if keeps_thoughts or index == last_answer else _without_thoughts(content)
            content = _answer(message, content, writes_thoughts)
        text += turn(message.role, content, ends=not is_prefill(messages, index))
    return text if messages and is_prefill(messages, len(messages) - 1) else text + ANSWER


def _system_turn(system: str, tools: Sequence[Tool]) -> str:
    listed = ""
    if tools:
        functions = ", ".join(raw_function_json(tool, function_json(tool)) for tool in tools)
        listed = f"List of tools: <|tool_list_start|>[{functions}]<|tool_list_end|>"
    parts = [part for part in (system, listed) if part]
    return turn("system", "\n".join(parts)) if parts else ""


def _without_thoughts(content: str) -> str:
    _, found, after = content.rpartition(_UNTHINK)
    return trim(after) if found else content


def _answer(message: Message, content: str, writes_thoughts: bool) -> str:
    thoughts = f"<think>{message.thinking}{_UNTHINK}" if writes_thoughts and message.thinking else ""
    if not message.tool_calls:
        return thoughts + content
    calls = ",".join(keyword_call(call, raw_spaced_json, ",") for call in message.tool_calls)
    return f"{thoughts}<|tool_call_start|>[{calls}]<|tool_call_end|>" + (f"\n{content}" if content else "")


LFM2: Final = RendererFamily(render=partial(_render, writes_thoughts=False), leading_bos=_BOS)
LFM2_THINKING: Final = RendererFamily(render=partial(_render, writes_thoughts=True), leading_bos=_BOS)
