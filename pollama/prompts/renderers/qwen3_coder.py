"""Qwen3 Coder.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn. The system turn carries the tools, one ``<function>``
block each. Calls follow the content of an assistant turn (see qwen_xml). The model does not think.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.queries import is_prefill
from pollama.prompts.renderers.qwen_xml import INSTRUCTIONS, TOOLS_HEADING, tool_results, xml_call, xml_function
from pollama.prompts.renderers.values import plain_text
from pollama.types.json import Json
from pollama.types.messages import Message, Tool

_DEFAULT_SYSTEM: Final = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
_START: Final = "<|im_start|>"
_END: Final = "<|im_end|>\n"


def _render(context: RenderContext) -> str:
    systems = [message.content for message in context.messages if message.role == "system"]
    turns = [message for message in context.messages if message.role != "system"]
    head = _system_turn(systems[0] if systems else "", context.tools)
    return head + "".join(_turn(turns, index) for index in range(len(turns)))


def _system_turn(system: str, tools: Sequence[Tool]) -> str:
    if tools:
        functions = "".join(f"\n{xml_function(tool, _schema_text)}" for tool in tools)
        tools_text = f"\n\n{TOOLS_HEADING}{functions}\n</tools>\n\n{INSTRUCTIONS}"
        return f"{_START}system\n{system or _DEFAULT_SYSTEM}{tools_text}{_END}"
    return f"{_START}system\n{system}{_END}" if system else ""


def _turn(messages: Sequence[Message], index: int) -> str:
    message = messages[index]
    prefill = is_prefill(messages, index)
    if message.role == "tool":
        text = tool_results(messages, index, message.content)
    else:
        text = f"{_START}{message.role}\n{_body(message)}" + ("" if prefill else _END)
    last = index == len(messages) - 1
    return f"{text}{_START}assistant\n" if last and not prefill else text


def _body(message: Message) -> str:
    if message.role != "assistant" or not message.tool_calls:
        return message.content
    content = f"{message.content}\n" if message.content else ""
    return content + "".join(f"\n{xml_call(call)}" for call in message.tool_calls)


def _schema_text(keyword: str, value: Json) -> str:
    return plain_text(value)


QWEN3_CODER: Final = RendererFamily(render=_render)
