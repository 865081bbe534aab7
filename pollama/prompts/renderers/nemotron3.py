"""Nemotron 3 Nano and Nemotron 3.5 Nano.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn, a system turn first even where it is empty. Tools and
calls have Qwen3 Coder's form, with a line feed after every call. An assistant turn begins with ``<think>...</think>``,
which is emptied in turns before the last user message. In Nemotron 3, ``/think`` and ``/no_think`` in user and system
messages switch thinking and are removed; Nemotron 3.5 is told of medium effort in the last user message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.chatml import ANSWER, END, START, turn
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.queries import last_of_role
from pollama.prompts.renderers.qwen_xml import tools_block, xml_call, xml_function
from pollama.prompts.renderers.values import go_text, raw_spaced_json, spaced_json
from pollama.prompts.spaces import trim
from pollama.types.json import Json
from pollama.types.messages import Message, Tool

_THINK: Final = "<think>"
_UNTHINK: Final = "</think>"
_EFFICIENT: Final = "\n\n{reasoning effort: efficient}"
_SCALARS: Final = {True: "True", False: "False", None: "None"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """``toggles``: users switch thinking. ``gap``: what stands around thoughts inside their tags and after them."""

    toggles: bool
    gap: str


def _render(context: RenderContext, style: _Style) -> str:
    messages, images = list(context.messages), ImageWriter(replace(context, image_tags=True), "")
    thinks = context.think is None or bool(context.think)
    if style.toggles:
        thinks = _toggled(messages, thinks)
    leads = bool(messages) and messages[0].role == "system"
    system = _without_toggles(messages[0].content, style) if leads else ""
    text = turn("system", _system(system, context.tools))
    last_user = last_of_role(messages, "user")
    for index in range(1 if leads else 0, len(messages)):
        message = messages[index]
        if message.role == "tool":
            text += _result(messages, index, images.content(index, message), is_first=index == (1 if leads else 0))
        elif message.role == "assistant":
            text += turn("assistant", _answer(message, style, shows_thoughts=index >= last_user))
        elif message.role == "user":
            text += turn("user", _question(images.content(index, message), context, style, index == last_user))
        else:
            text += turn(message.role, _without_toggles(message.content, style))
    return text + ANSWER + (f"{_THINK}\n" if thinks else _THINK + _UNTHINK)


def _toggled(messages: Sequence[Message], thinks: bool) -> bool:
    """Return whether the model thinks after all the switches of a conversation; the last one counts."""
    for message in messages:
        if message.role in ("user", "system"):
            if "/think" in message.content.replace(_UNTHINK, ""):
                thinks = True
            elif "/no_think" in message.content:
                thinks = False
    return thinks


def _without_toggles(content: str, style: _Style) -> str:
    if not style.toggles:
        return content
    kept = [part.replace("/think", "").replace("/no_think", "") for part in content.split(_UNTHINK)]
    return _UNTHINK.join(kept)


def _question(content: str, context: RenderContext, style: _Style, is_last: bool) -> str:
    if style.toggles:
        return trim(_without_toggles(content, style))
    return content + (_EFFICIENT if is_last and context.think == "medium" else "")


def _system(system: str, tools: Sequence[Tool]) -> str:
    if not tools:
        return system
    block = tools_block(xml_function(tool, _schema_text) for tool in tools)
    return f"{system}\n\n{block}" if system else block


def _schema_text(keyword: str, value: Json) -> str:
    if keyword == "type":
        return str(value)
    return spaced_json(value) if keyword == "properties" else raw_spaced_json(value)


def _argument_text(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return _SCALARS[value]
    return raw_spaced_json(value) if isinstance(value, (dict, list)) else go_text(value)


def _result(messages: Sequence[Message], index: int, content: str, *, is_first: bool) -> str:
    """Return a result; consecutive ones share one user turn, which the first message does not open."""
    opens = not is_first and messages[index - 1].role != "tool"
    last = index == len(messages) - 1 or messages[index + 1].role != "tool"
    opening = f"{START}user\n" if opens else ""
    return f"{opening}<tool_response>\n{content}\n</tool_response>\n" + (END if last else "")


def _answer(message: Message, style: _Style, *, shows_thoughts: bool) -> str:
    content = _with_thoughts(message, style)
    if not shows_thoughts:
        content = _emptied(content, anywhere=bool(message.tool_calls))
    content = trim(content)
    if not message.tool_calls:
        return content
    return f"{content}\n" + "".join(f"{xml_call(call, _argument_text)}\n" for call in message.tool_calls)


def _with_thoughts(message: Message, style: _Style) -> str:
    if trim(message.thinking):
        return f"{_THINK}\n{message.thinking}{style.gap}{_UNTHINK}{style.gap}{message.content}"
    if _THINK in message.content or _UNTHINK in message.content:
        return message.content
    return _THINK + _UNTHINK + message.content


def _emptied(content: str, *, anywhere: bool) -> str:
    """Return an answer with empty thoughts; ``anywhere``: also where they lack one of their tags."""
    if anywhere:
        content = content.rpartition(_UNTHINK)[2].partition(_THINK)[0]
        return _THINK + _UNTHINK + trim(content)
    if _THINK in content and _UNTHINK in content:
        return _THINK + _UNTHINK + content.rpartition(_UNTHINK)[2]
    return content


NEMOTRON_3_NANO: Final = RendererFamily(render=partial(_render, style=_Style(toggles=True, gap="\n")))
NEMOTRON_3_5_NANO: Final = RendererFamily(render=partial(_render, style=_Style(toggles=False, gap="")))
