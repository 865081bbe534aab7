"""Qwen3 Coder.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn. The system turn carries the tools, one ``<function>``
block each. Calls follow the content of an assistant turn (see qwen_xml). The model does not think.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.queries import is_prefill
from pollama.prompts.renderers.qwen_xml import INSTRUCTIONS, TOOLS_HEADING, tool_results, xml_call
from pollama.prompts.renderers.values import compact_json, plain_text
from pollama.prompts.tool_json import parameters_json, property_json
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolProperty

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
        functions = "".join(f"\n{_function(tool)}" for tool in tools)
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


def _function(tool: Tool) -> str:
    lines = ["<function>", f"<name>{tool.name}</name>"]
    if tool.description:
        lines.append(f"<description>{tool.description}</description>")
    lines.append("<parameters>")
    for name, item in (tool.parameters.properties or {}).items():
        lines += _parameter(name, item)
    lines += _extra_keys(parameters_json(tool.parameters), known={"type", "properties"})
    return "\n".join([*lines, "</parameters>", "</function>"])


def _parameter(name: str, item: ToolProperty) -> list[str]:
    lines = ["<parameter>", f"<name>{name}</name>"]
    if item.type:
        lines.append(f"<type>{_type_text(item.type)}</type>")
    if item.description:
        lines.append(f"<description>{item.description}</description>")
    lines += _extra_keys(property_json(item), known={"type", "description"})
    return [*lines, "</parameter>"]


def _type_text(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else compact_json(list(types))


def _extra_keys(schema: dict[str, Json], known: set[str]) -> list[str]:
    """Return the lines for the keywords of a schema that have no place of their own."""
    return [f"<{key}>{plain_text(sorted_maps(value))}</{key}>" for key, value in schema.items() if key not in known]


QWEN3_CODER: Final = RendererFamily(render=_render)
