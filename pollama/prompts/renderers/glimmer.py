"""Muse Glimmer.

Wire format: BOS, then ``<|start|>ROLE<|message|>CONTENT<|eot|>`` per turn. Every system turn ends with the reasoning
strength, the tools and the valid recipients. An assistant message has a part per recipient, each a turn of its own that
ends with ``<|eom|>`` where another part follows: thoughts to ``self``, calls to the function in an XML-like form, or
content to ``user``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.function_text import described_function, raw_function_json
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.values import argument_values, go_text, raw_spaced_json
from pollama.types.json import Json
from pollama.types.messages import Message, Think, Tool, ToolCall

_BOS: Final = "<|begin_of_text|>"
_START: Final = "<|start|>"
_MESSAGE: Final = "<|message|>"
_PART_END: Final = "<|eom|>"
_END: Final = "<|eot|>"
_IMAGE: Final = "<|image|>"
_TOOLS_HEADING: Final = """\
In this environment you have access to a set of tools you can use to answer the user's question.

You can invoke a function by writing a "<atem:function_calls>" block like the following:
<atem:function_calls>
<atem:invoke name="$FUNCTION_NAME">
<atem:parameter name="$PARAMETER_NAME">$PARAMETER_VALUE</atem:parameter>
...
</atem:invoke>
</atem:function_calls>

String and scalar parameters should be specified as is, while lists and objects should use JSON format. Note that \
spaces for string values are not stripped. The output is not expected to be valid XML and is parsed with regular \
expressions.
Here are the functions available in JSONSchema format:
// Tool metadata
"""
_EXAMPLE: Final = """
Here's an example of how to call a function in the tool set:
(If the tool namespace is not specified, invoke the function directly as `example_function_name` rather than \
`example_tool_name.example_function_name`)

to=example_tool_name.example_function_name

<atem:function_calls>
<atem:invoke name="example_tool_name.example_function_name">
<atem:parameter name="example_parameter_1">value_1</atem:parameter>
<atem:parameter name="example_parameter_2">This is the value for the second parameter
that can span
"multiple" lines
</atem:parameter>
</atem:invoke>
</atem:function_calls>

"""


def _render(context: RenderContext) -> str:
    messages, images = context.messages, ImageWriter(context, _IMAGE)
    details = _system_details(context.think, context.tools)
    text = _BOS
    if not any(message.role == "system" for message in messages):
        text += _turn("system", _default_system(context) + details)
    for index, message in enumerate(messages):
        content = images.content(index, message)
        if message.role == "system":
            text += _turn("system", message.content + details)
        elif message.role == "user":
            text += _turn("user", content)
        elif message.role == "tool":
            name = _answered_name(messages[:index], message)
            text += _turn(f"tool {name}", f'<tool_output name="{name}">\n{content}\n</tool_output>')
        elif message.role == "assistant":
            text += _answer(message, content)
    return f"{text}{_START}assistant"


def _default_system(context: RenderContext) -> str:
    return f"You are a helpful AI assistant.\nKnowledge cutoff: 2026-01-04.\nCurrent date: {context.today.isoformat()}."


def _system_details(think: Think, tools: Sequence[Tool]) -> str:
    strength = think if isinstance(think, str) else "none" if think is False else "high"
    namespaces = list(dict.fromkeys(tool.name.partition(".")[0] for tool in tools))
    recipients = ", ".join(['"self"', *(f'"{name}.*"' for name in namespaces), '"user"'])
    described = _tools_text(tools, namespaces) if tools else ""
    return f"\n\nReasoning strength: {strength}.\n\n{described}# Valid recipients: {recipients}."


def _tools_text(tools: Sequence[Tool], namespaces: Sequence[str]) -> str:
    metadata = "".join(f"{raw_spaced_json({'name': name, 'description': ''})}\n" for name in namespaces)
    schemas = "".join(f"{raw_function_json(tool, described_function(tool))}\n" for tool in tools)
    return f"{_TOOLS_HEADING}{metadata}// Function schemas\n{schemas}{_EXAMPLE}"


def _turn(head: str, content: str, ending: str = _END) -> str:
    return _START + head + _MESSAGE + content + ending


def _answered_name(earlier: Sequence[Message], message: Message) -> str:
    if message.tool_name or not message.tool_call_id:
        return message.tool_name
    calls = (call for answer in reversed(earlier) for call in answer.tool_calls)
    return next((call.name for call in calls if call.id == message.tool_call_id), "")


def _answer(message: Message, content: str) -> str:
    text = _turn("assistant to=self", message.thinking, _PART_END) if message.thinking else ""
    if message.tool_calls:
        *others, last = message.tool_calls
        text += "".join(_turn(f"assistant to={call.name}", _call(call), _PART_END) for call in others)
        return text + _turn(f"assistant to={last.name}", _call(last))
    return text if text and not content else text + _turn("assistant to=user", content)


def _call(call: ToolCall) -> str:
    parameters = "".join(
        f'<atem:parameter name="{name}">{_value(value)}</atem:parameter>\n'
        for name, value in argument_values(call.arguments).items()
    )
    invoke = f'<atem:invoke name="{call.name}">\n{parameters}</atem:invoke>'
    return f"<atem:function_calls>\n{invoke}\n</atem:function_calls>"


def _value(value: Json) -> str:
    return raw_spaced_json(value) if value is None or isinstance(value, (dict, list)) else go_text(value)


GLIMMER: Final = RendererFamily(render=_render, leading_bos=_BOS)
