"""FunctionGemma.

Wire format: BOS, then ``<start_of_turn>ROLE\\nCONTENT<end_of_turn>\\n`` per turn, contents trimmed, the assistant
called ``model``. A leading system or developer message and the declarations of the tools make the ``developer`` turn.
Calls follow the content, ``<start_function_call>call:NAME{KEY:VALUE}<end_function_call>``; results follow the calls in
the same turn and whatever comes next continues it. Strings stand between two ``<escape>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.gemma_values import gemma_members
from pollama.prompts.spaces import trim
from pollama.types.messages import Message, Tool, ToolCall, ToolProperty

_BOS: Final = "<bos>"
_START: Final = "<start_of_turn>"
_END: Final = "<end_of_turn>\n"
_ESCAPE: Final = "<escape>"
_TOOLS_HEADING: Final = "You can do function calling with the following functions:"


def _render(context: RenderContext) -> str:
    messages = list(context.messages)
    leads = bool(messages) and messages[0].role in ("system", "developer")
    text = _BOS + _developer_turn(trim(messages.pop(0).content) if leads else "", context.tools)
    for index in range(len(messages)):
        text += _turn(messages, index)
    return text if messages and messages[-1].role == "tool" else f"{text}{_START}model\n"


def _developer_turn(system: str, tools: Sequence[Tool]) -> str:
    declarations = _TOOLS_HEADING + "".join(map(_declaration, tools)) if tools else ""
    parts = [part for part in (system, declarations) if part]
    return f"{_START}developer\n" + "\n".join(parts) + _END if parts else ""


def _turn(messages: Sequence[Message], index: int) -> str:
    message = messages[index]
    if message.role == "tool":
        name = _called_name(messages, index)
        return f"<start_function_response>response:{name}{{{_quoted(message.content)}}}<end_function_response>"
    continues = index > 0 and messages[index - 1].role == "tool"
    role = "model" if message.role == "assistant" else message.role
    text = ("" if continues else f"{_START}{role}\n") + trim(message.content)
    calls = message.tool_calls if message.role == "assistant" else []
    answered = index + 1 < len(messages) and messages[index + 1].role == "tool"
    return text + "".join(map(_call, calls)) + ("" if calls and answered else _END)


def _called_name(messages: Sequence[Message], index: int) -> str:
    """Return the name of the call that a result answers: results come in the order of the calls."""
    first = index
    while first > 0 and messages[first - 1].role == "tool":
        first -= 1
    calls = messages[first - 1].tool_calls if first > 0 else []
    return calls[index - first].name if index - first < len(calls) else ""


def _call(call: ToolCall) -> str:
    members = gemma_members(call.arguments or {}, _ESCAPE, "<nil>")
    return f"<start_function_call>call:{call.name}{{{members}}}<end_function_call>"


def _declaration(tool: Tool) -> str:
    parameters = tool.parameters
    parts = []
    if parameters.properties:
        properties = parameters.properties
        parts.append(f"properties:{{{','.join(_property(name, properties[name]) for name in sorted(properties))}}}")
    if parameters.required:
        parts.append(f"required:[{','.join(map(_quoted, parameters.required))}]")
    if parameters.type:
        parts.append(f"type:{_quoted(parameters.type.upper())}")
    schema = f",parameters:{{{','.join(parts)}}}" if parts else ""
    head = f"declaration:{tool.name}{{description:{_quoted(tool.description)}"
    return f"<start_function_declaration>{head}{schema}}}<end_function_declaration>"


def _property(name: str, item: ToolProperty) -> str:
    type_text = f",type:{_quoted(item.type[0].upper())}" if item.type else ""
    return f"{name}:{{description:{_quoted(item.description)}{type_text}}}"


def _quoted(text: str) -> str:
    return _ESCAPE + text + _ESCAPE


FUNCTIONGEMMA: Final = RendererFamily(render=_render, leading_bos=_BOS)
