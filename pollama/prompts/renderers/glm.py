"""GLM-4.7 and GLM-OCR.

Wire format: ``[gMASK]<sop>`` and then turns that begin with ``<|system|>``, ``<|user|>``, ``<|assistant|>`` or
``<|observation|>`` (results of consecutive tool messages). An answer begins with ``<think>...</think>``; GLM-4.7 writes
the bare ``</think>`` where there are no thoughts. A call is
``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>``. GLM-4.7 has no line feeds between
the parts, GLM-OCR has, and asks not to think with ``/nothink`` after each user message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.calls import tagged_call
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.values import compact_json, spaced_json
from pollama.prompts.spaces import trim
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Tool, ToolCall

_HEAD: Final = "[gMASK]<sop>"
_NO_THINK: Final = "/nothink"
_TOOLS_HEADING: Final = """\
<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_INSTRUCTIONS: Final = """
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value><arg_key>{arg-key-2}\
</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>"""


def _render_glm47(context: RenderContext) -> str:
    turns = _turns(context, lambda index, message: _glm47_turn(message))
    return f"{turns}<|assistant|>" + ("</think>" if context.think is False else "<think>")


def _render_ocr(context: RenderContext) -> str:
    images, thinks = ImageWriter(context, ""), context.think is not False

    def turn(index: int, message: Message) -> str:
        content = message.content if message.role == "system" else images.content(index, message)
        return _ocr_turn(message, content, thinks=thinks)

    return f"{_turns(context, turn)}<|assistant|>\n" + ("" if thinks else "<think></think>\n")


def _turns(context: RenderContext, turn: Callable[[int, Message], str]) -> str:
    """Return all that stands before the answer. ``turn`` gets a message and its index."""
    text = _HEAD + (_tools_text(context.tools) if context.tools else "")
    previous = ""
    for index, message in enumerate(context.messages):
        if message.role == "tool" and previous != "tool":
            text += "<|observation|>"
        text += turn(index, message)
        previous = message.role
    return text


def _glm47_turn(message: Message) -> str:
    content = message.content
    if message.role in ("user", "system"):
        return f"<|{message.role}|>{content}"
    if message.role == "tool":
        return f"<tool_response>{content}</tool_response>"
    if message.role != "assistant":
        return ""
    thoughts = f"<think>{message.thinking}</think>" if message.thinking else "</think>"
    return f"<|assistant|>{thoughts}{content}" + "".join(map(_call, message.tool_calls))


def _ocr_turn(message: Message, content: str, *, thinks: bool) -> str:
    if message.role == "system":
        return f"<|system|>\n{content}\n"
    if message.role == "user":
        return f"<|user|>\n{content}" + ("" if thinks or content.endswith(_NO_THINK) else _NO_THINK)
    if message.role == "tool":
        return f"\n<tool_response>\n{content}\n</tool_response>\n"
    if message.role != "assistant":
        return ""
    lines = [f"<think>{trim(message.thinking)}</think>", trim(content), *map(_call, message.tool_calls)]
    return "<|assistant|>\n" + "".join(f"{line}\n" for line in lines if line)


def _call(call: ToolCall) -> str:
    return tagged_call(call, compact_json)


def _tools_text(tools: Sequence[Tool]) -> str:
    return _TOOLS_HEADING + "".join(f"\n{spaced_json(tool_json(tool))}" for tool in tools) + _INSTRUCTIONS


GLM_4_7: Final = RendererFamily(render=_render_glm47)
GLM_OCR: Final = RendererFamily(render=_render_ocr)
