"""Qwen3-VL, instruct and thinking.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn. Tools are lines of JSON in the first system turn.
A call is ``<tool_call>\\n{"name": ..., "arguments": ...}\\n</tool_call>``; results of consecutive tool messages share
one user turn. Thoughts of turns before the question that is being answered are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.chatml import ANSWER, turn
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.queries import NOT_FOUND, is_prefill, last_query
from pollama.prompts.renderers.qwen_xml import tool_results
from pollama.prompts.renderers.values import argument_values, spaced_json
from pollama.prompts.tool_json import tool_json
from pollama.types.gojson import quote
from pollama.types.messages import Message, Tool, ToolCall

IMAGE: Final = "<|vision_start|><|image_pad|><|vision_end|>"
_TOOLS_HEADING: Final = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_INSTRUCTIONS: Final = """\
For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def _render(context: RenderContext, *, thinks: bool) -> str:
    thinks = thinks if context.think is None else bool(context.think)
    messages, images = context.messages, ImageWriter(context, IMAGE)
    leads = bool(messages) and messages[0].role == "system"
    text = _system_turn(messages[0].content if leads else None, context.tools)
    query = last_query(messages)
    query = len(messages) - 1 if query == NOT_FOUND else query
    for index in range(1 if leads else 0, len(messages)):
        content = images.content(index, messages[index])
        text += _turn(messages, index, content, shows_thoughts=thinks and index > query)
    if not messages or is_prefill(messages, len(messages) - 1):
        return text
    return text + ANSWER + ("<think>\n" if thinks else "")


def _system_turn(system: str | None, tools: Sequence[Tool]) -> str:
    if tools:
        lines = "".join(f"\n{spaced_json(tool_json(tool))}" for tool in tools)
        head = f"{system}\n\n" if system else ""
        return turn("system", f"{head}{_TOOLS_HEADING}{lines}\n</tools>\n\n{_INSTRUCTIONS}")
    return "" if system is None else turn("system", system)


def _turn(messages: Sequence[Message], index: int, content: str, *, shows_thoughts: bool) -> str:
    message = messages[index]
    if message.role in ("user", "system"):
        return turn(message.role, content)
    if message.role == "tool":
        return tool_results(messages, index, content)
    if message.role != "assistant":
        return ""
    prefill = is_prefill(messages, index)
    thoughts = _thoughts(message.thinking, content) if shows_thoughts and (prefill or message.thinking) else content
    return turn("assistant", thoughts + _calls(message.tool_calls, content), ends=not prefill)


def _thoughts(thinking: str, content: str) -> str:
    """Return thoughts and content. Without content the thoughts stay open."""
    opened = "<think>\n" + thinking.strip("\n")
    return opened + "\n</think>\n\n" + content.lstrip("\n") if content else opened


def _calls(calls: Sequence[ToolCall], content: str) -> str:
    text = "\n".join(map(_call, calls))
    return f"\n{text}" if text and content else text


def _call(call: ToolCall) -> str:
    arguments = spaced_json(argument_values(call.arguments))
    return f'<tool_call>\n{{"name": {quote(call.name)}, "arguments": {arguments}}}\n</tool_call>'


QWEN3_VL_INSTRUCT: Final = RendererFamily(render=partial(_render, thinks=False))
QWEN3_VL_THINKING: Final = RendererFamily(render=partial(_render, thinks=True))
