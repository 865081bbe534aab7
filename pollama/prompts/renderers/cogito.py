"""Cogito v2.

Wire format: BOS and the system text (the model's identity, the first system message, the tools as fenced JSON), then
``<｜User｜>CONTENT<｜Assistant｜>`` and ``CONTENT<｜end▁of▁sentence｜>``. Calls follow the content within
``<｜tool▁calls▁begin｜>``; results of consecutive tool messages stand within ``<｜tool▁outputs▁begin｜>``.
The model thinks when the system text begins by asking for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.deepseek31 import ASSISTANT, BOS, EOS, USER
from pollama.prompts.renderers.values import argument_values, compact_json, indented_json
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Tool, ToolCall

_IDENTITY: Final = (
    "You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in San Francisco."
)
_DEEP_THINKING: Final = "Enable deep thinking subroutine.\n\n"
_TOOLS_HEADING: Final = "\nYou have the following functions available:\n"
_RENDERED: Final = ("user", "assistant", "tool")


def _render(context: RenderContext) -> str:
    messages = context.messages
    system = messages[0].content if messages and messages[0].role == "system" else ""
    text = BOS + _system(system, context.tools, thinks=bool(context.think))
    turns = [message for message in messages if message.role in _RENDERED]
    for role, group in groupby(turns, key=lambda message: message.role):
        messages_of_role = list(group)
        text += _tool_outputs(messages_of_role) if role == "tool" else "".join(map(_turn, messages_of_role))
    if not turns or turns[-1].role != "user":
        text += ASSISTANT
    return text + ("<think>\n" if context.think else "")


def _system(system: str, tools: Sequence[Tool], *, thinks: bool) -> str:
    text = (_DEEP_THINKING if thinks else "") + _IDENTITY
    if system:
        text += f"\n\n{system}" + ("\n\n" if thinks else "")
    if tools:
        text += _TOOLS_HEADING + "".join(f"```json\n{indented_json(tool_json(tool))}\n```\n" for tool in tools)
    return text


def _turn(message: Message) -> str:
    if message.role == "user":
        return USER + message.content + ASSISTANT
    calls = "\n".join(map(_call, message.tool_calls))
    return message.content + (f"<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>" if calls else "") + EOS


def _call(call: ToolCall) -> str:
    arguments = compact_json(argument_values(call.arguments))
    return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call.name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"


def _tool_outputs(messages: Sequence[Message]) -> str:
    outputs = "\n".join(f"<｜tool▁output▁begin｜>{message.content}<｜tool▁output▁end｜>" for message in messages)
    return f"<｜tool▁outputs▁begin｜>{outputs}<｜tool▁outputs▁end｜>"


COGITO: Final = RendererFamily(render=_render, leading_bos=BOS)
