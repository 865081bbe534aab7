"""DeepSeek-V3.1.

Wire format: BOS, all system messages, the tools, and then turns without white space between them:
``<｜User｜>CONTENT``, ``<｜Assistant｜></think>CONTENT<｜end▁of▁sentence｜>``. Calls follow the content within
``<｜tool▁calls▁begin｜>``, each ``<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>ARGUMENTS<｜tool▁call▁end｜>``; a result
stands within ``<｜tool▁output▁begin｜>`` and the answer to it has no ``<｜Assistant｜>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.queries import last_of_role
from pollama.prompts.renderers.values import argument_values, compact_json
from pollama.prompts.tool_json import parameters_json
from pollama.types.messages import Message, Tool, ToolCall

BOS: Final = "<｜begin▁of▁sentence｜>"
EOS: Final = "<｜end▁of▁sentence｜>"
USER: Final = "<｜User｜>"
ASSISTANT: Final = "<｜Assistant｜>"
_THINK: Final = "<think>"
_UNTHINK: Final = "</think>"
_TOOLS_HEADING: Final = "\n\n## Tools\nYou have access to the following tools:\n"
_INSTRUCTIONS: Final = """
IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>\
{{additional_tool_calls}}<｜tool▁calls▁end｜>

Where:

- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces
"""


def _render(context: RenderContext) -> str:
    systems = [message.content for message in context.messages if message.role == "system"]
    text = BOS + "\n\n".join(systems) + (_tools_text(context.tools) if context.tools else "")
    last_user = last_of_role(context.messages, "user")
    asked = answers_tool = False
    for index, message in enumerate(context.messages):
        if message.role == "user":
            text += USER + message.content
            asked, answers_tool = True, False
        elif message.role == "assistant":
            thinks = bool(context.think) and index > last_user and not context.tools
            text += (ASSISTANT + _mark(message, thinks=thinks) if asked else "") + _answer(message, answers_tool)
            asked = answers_tool = False
        elif message.role == "tool":
            text += f"<｜tool▁output▁begin｜>{message.content}<｜tool▁output▁end｜>"
            asked, answers_tool = False, True
    return text + (ASSISTANT + (_THINK if context.think else _UNTHINK) if asked else "")


def _mark(message: Message, *, thinks: bool) -> str:
    return _THINK if thinks and not message.tool_calls else _UNTHINK


def _answer(message: Message, answers_tool: bool) -> str:
    if message.tool_calls:
        calls = "".join(map(_call, message.tool_calls))
        return f"{message.content}<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>{EOS}"
    if answers_tool:
        return message.content + EOS
    before, found, after = message.content.partition(_UNTHINK)
    return (after if found else before) + EOS


def _call(call: ToolCall) -> str:
    arguments = compact_json(argument_values(call.arguments))
    return f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"


def _tools_text(tools: Sequence[Tool]) -> str:
    return _TOOLS_HEADING + "".join(map(_tool, tools)) + _INSTRUCTIONS


def _tool(tool: Tool) -> str:
    parameters = compact_json(parameters_json(tool.parameters))
    return f"\n### {tool.name}\nDescription: {tool.description}\n\nParameters: {parameters}\n"


DEEPSEEK_3_1: Final = RendererFamily(render=_render, leading_bos=BOS)
