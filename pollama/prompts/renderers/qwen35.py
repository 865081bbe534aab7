"""Qwen3.5, Qwen3.8 and Ornith.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn, contents trimmed. The system turn begins with the
tools as lines of JSON; calls and results have Qwen3 Coder's form. An assistant turn begins with
``<think>\\n...\\n</think>\\n\\n``, which Qwen3.5 leaves out in turns before the question that is being answered.
Qwen3.8 has a single system turn, which begins with the effort that the model should make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily, RenderError
from pollama.prompts.renderers.chatml import ANSWER, turn
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.queries import NOT_FOUND, is_prefill, last_query
from pollama.prompts.renderers.qwen3_vl import IMAGE
from pollama.prompts.renderers.qwen_xml import tool_results, tools_block, xml_call
from pollama.prompts.renderers.values import spaced_json
from pollama.prompts.spaces import trim
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Think, Tool

_THINK: Final = "<think>"
_UNTHINK: Final = "</think>"
_ANY_EFFORT: Final = (
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate key assumptions, consider "
    "plausible alternatives, and prioritize correctness, consistency, and clarity in the final answer."
)
_LOW_EFFORT: Final = (
    "Reasoning effort is set to low. Keep your thinking brief and focused, moving directly to the conclusion without "
    "unnecessary elaboration."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """``all_thoughts``: history keeps its thoughts. ``split``: thoughts may stand in the content of an answer.

    ``other_roles``: turns of roles that the format does not know are kept.
    """

    all_thoughts: bool = False
    split: bool = True
    other_roles: bool = False


def _render(context: RenderContext, style: _Style) -> str:
    messages, images = context.messages, ImageWriter(context, IMAGE)
    leads = bool(messages) and messages[0].role == "system"
    system = trim(images.content(0, messages[0])) if leads else None
    text = _tools_turn(context.tools, system) if context.tools else "" if system is None else turn("system", system)
    return text + _conversation(context, images, style, first=1 if leads else 0)


def _render_qwen38(context: RenderContext) -> str:
    messages = context.messages
    if not messages:
        raise RenderError("no messages provided")
    if last_query(messages) == NOT_FOUND:
        raise RenderError("no user query found in messages")
    systems = [message for message in messages if message.role in ("system", "developer")]
    if any(message.images for message in systems):
        raise RenderError("system message cannot contain images")
    tools = _tools_text(context.tools) if context.tools else ""
    parts = [_effort(context.think), tools, *(trim(message.content) for message in systems)]
    system = "\n\n".join(filter(None, parts))
    head = turn("system", system) if system else ""
    style = _Style(all_thoughts=True, split=False, other_roles=True)
    return head + _conversation(context, ImageWriter(context, IMAGE), style, without=("system", "developer"))


def _effort(think: Think) -> str:
    if think is None or think in ("high", "max"):
        return _ANY_EFFORT
    return _LOW_EFFORT if think == "low" else ""


def _conversation(
    context: RenderContext, images: ImageWriter, style: _Style, *, first: int = 0, without: tuple[str, ...] = ()
) -> str:
    """Return all turns but the leading system turn, and the beginning of the answer."""
    messages, thinks = context.messages, context.think is None or bool(context.think)
    query = last_query(messages)
    text = ""
    for index in range(first, len(messages)):
        message = messages[index]
        if message.role in without:
            continue
        content = trim(images.content(index, message))
        shows_thoughts = style.all_thoughts or (thinks and index > query)
        if message.role == "assistant":
            answer = _answer(message, content, style, shows_thoughts=shows_thoughts)
            text += turn("assistant", answer, ends=not is_prefill(messages, index))
        elif message.role == "tool":
            text += tool_results(messages, index, content)
        elif message.role in ("user", "system") or style.other_roles:
            text += turn(message.role, content)
    if not messages or is_prefill(messages, len(messages) - 1):
        return text
    return f"{text}{ANSWER}{_THINK}\n" + ("" if thinks else f"\n{_UNTHINK}\n\n")


def _tools_turn(tools: Sequence[Tool], system: str | None) -> str:
    return turn("system", _tools_text(tools) + (f"\n\n{system}" if system else ""))


def _tools_text(tools: Sequence[Tool]) -> str:
    return tools_block(spaced_json(tool_json(tool)) for tool in tools)


def _answer(message: Message, content: str, style: _Style, *, shows_thoughts: bool) -> str:
    thinking = message.thinking
    if style.split:
        inline, content = _split_thoughts(content)
        thinking = thinking or inline
    head = f"{_THINK}\n{trim(thinking)}\n{_UNTHINK}\n\n" if shows_thoughts else ""
    calls = "\n".join(map(xml_call, message.tool_calls))
    gap = "\n\n" if calls and trim(content) else ""
    return head + content + gap + calls


def _split_thoughts(content: str) -> tuple[str, str]:
    """Return the thoughts that an answer begins with, and the rest of it."""
    before, found, after = content.partition(_UNTHINK)
    if not found:
        return "", content
    return before.rpartition(_THINK)[2], trim(after)


QWEN3_5: Final = RendererFamily(render=partial(_render, style=_Style()))
ORNITH: Final = RendererFamily(render=partial(_render, style=_Style(all_thoughts=True)))
QWEN3_8: Final = RendererFamily(render=_render_qwen38)
