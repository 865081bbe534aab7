"""Qwen3 Coder.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn. The system turn carries the tools, one ``<function>``
block each. Calls follow the content of an assistant turn (see qwen_xml). The model does not think.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.chatml import ANSWER, turn
from pollama.prompts.renderers.queries import is_prefill
from pollama.prompts.renderers.qwen_xml import tool_results, tools_block, xml_call, xml_function
from pollama.prompts.renderers.values import plain_text
from pollama.types.json import Json
from pollama.types.messages import Message, Tool

_DEFAULT_SYSTEM: Final = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."


def _render(context: RenderContext) -> str:
    systems = [message.content for message in context.messages if message.role == "system"]
    turns = [message for message in context.messages if message.role != "system"]
    head = _system_turn(systems[0] if systems else "", context.tools)
    return head + "".join(_turn(turns, index) for index in range(len(turns)))


def _system_turn(system: str, tools: Sequence[Tool]) -> str:
    if tools:
        block = tools_block(xml_function(tool, _schema_text) for tool in tools)
        return turn("system", f"{system or _DEFAULT_SYSTEM}\n\n{block}")
    return turn("system", system) if system else ""


def _turn(messages: Sequence[Message], index: int) -> str:
    message = messages[index]
    prefill = is_prefill(messages, index)
    if message.role == "tool":
        text = tool_results(messages, index, message.content)
    else:
        text = turn(message.role, _body(message), ends=not prefill)
    last = index == len(messages) - 1
    return text + ANSWER if last and not prefill else text


def _body(message: Message) -> str:
    if message.role != "assistant" or not message.tool_calls:
        return message.content
    content = f"{message.content}\n" if message.content else ""
    return content + "".join(f"\n{xml_call(call)}" for call in message.tool_calls)


def _schema_text(keyword: str, value: Json) -> str:
    return plain_text(value)


QWEN3_CODER: Final = RendererFamily(render=_render)
