"""Poolside Laguna, and Laguna v8 (``poolside-v1``).

Wire format: BOS, then XML-like turns, ``<user>\\nCONTENT\\n</user>\\n``; a system turn comes first. An answer
begins with ``<think>...</think>`` or the bare ``</think>``. A call is
``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>``; a result is a turn of its own,
``<tool_response>``. Laguna writes every part on lines of its own, Laguna v8 without line feeds within a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.calls import tagged_call
from pollama.prompts.renderers.values import spaced_json
from pollama.prompts.spaces import GO_SPACES, trim
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Tool

_BOS: Final = "〈|EOS|〉"
_THINK: Final = "<think>"
_UNTHINK: Final = "</think>"
_DEFAULT_SYSTEM: Final = (
    "You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be helpful to users "
    "through natural language conversations."
)
_TOOLS_HEADING: Final = """\


### Tools

You may call functions to assist with the user query.
All available function signatures are listed below:
<available_tools>
"""
_CALL: Final = (
    "return an unescaped XML-like object with function name and arguments within '<tool_call>' and '</tool_call>' "
    "tags, like here:\n"
)
_CALL_EXAMPLE: Final = """\
<tool_call>function-name
<arg_key>argument-key</arg_key>
<arg_value>value-of-argument-key</arg_value>
</tool_call>"""
_INSTRUCTIONS: Final = f"\n\nFor each function call, {_CALL}{_CALL_EXAMPLE}"
_THINKING_INSTRUCTIONS: Final = (
    "\n\nWrap your thinking in '<think>', '</think>' tags, followed by a function call. For each function call, "
    f"{_CALL}<think> your thoughts here </think>\n{_CALL_EXAMPLE}"
)


def _render_laguna(context: RenderContext) -> str:
    messages, thinks = context.messages, bool(context.think)
    system, first = _system(messages)
    tools = ""
    if context.tools:
        tools = _tools(context.tools) + (_THINKING_INSTRUCTIONS if thinks else _INSTRUCTIONS)
    lead = f"\n{system}" if system else ""
    text = _BOS + (f"<system>\n{lead}{tools}\n</system>\n" if lead or tools else "")
    text += "".join(map(_laguna_turn, messages[first:]))
    if not messages or messages[-1].role != "assistant":
        return f"{text}<assistant>\n" + (_THINK if thinks else _UNTHINK)
    begun = messages[-1].content or messages[-1].thinking
    return text.removesuffix("</assistant>\n") if begun else text


def _render_v8(context: RenderContext) -> str:
    thinks = bool(context.think)
    system, first = _system(context.messages)
    lead = system + (_tools(context.tools) if context.tools else "")
    text = _BOS + (f"<system>{lead}</system>\n" if lead else "")
    text += "".join(_v8_turn(message, thinks=thinks) for message in context.messages[first:])
    return f"{text}<assistant>" + (_THINK if thinks else _UNTHINK)


def _system(messages: Sequence[Message]) -> tuple[str, int]:
    """Return the text of the first system turn, and the index of the first message after it."""
    if messages and messages[0].role == "system":
        return messages[0].content.rstrip(GO_SPACES), 1
    return _DEFAULT_SYSTEM, 0


def _tools(tools: Sequence[Tool]) -> str:
    return _TOOLS_HEADING + "".join(f"{spaced_json(tool_json(tool))}\n" for tool in tools) + "</available_tools>"


def _laguna_turn(message: Message) -> str:
    if message.role in ("user", "system"):
        return f"<{message.role}>\n{message.content}\n</{message.role}>\n"
    if message.role == "tool":
        return f"<tool_response>\n{message.content}\n</tool_response>\n"
    if message.role != "assistant":
        return ""
    thinking, content = _thoughts_and_answer(message)
    thoughts = f"{_THINK}\n{thinking}\n{_UNTHINK}" if thinking else _UNTHINK
    lines = [thoughts, content, *(tagged_call(call, spaced_json, "\n") for call in message.tool_calls)]
    return "<assistant>\n" + "".join(f"{line}\n" for line in lines if line) + "</assistant>\n"


def _thoughts_and_answer(message: Message) -> tuple[str, str]:
    """Return the thoughts, which may stand in the content, and the answer."""
    before, found, after = message.content.partition(_UNTHINK)
    if not found:
        return trim(message.thinking), trim(message.content)
    return trim(message.thinking or before.rpartition(_THINK)[2]), trim(after)


def _v8_turn(message: Message, *, thinks: bool) -> str:
    if message.role in ("user", "system"):
        return f"<{message.role}>{message.content}</{message.role}>\n"
    if message.role == "tool":
        return f"<tool_response>{message.content}</tool_response>\n"
    if message.role != "assistant":
        return ""
    thoughts = f"{_THINK}{message.thinking}{_UNTHINK}" if thinks else _UNTHINK
    calls = "".join(tagged_call(call, spaced_json) for call in message.tool_calls)
    return f"<assistant>{thoughts}{message.content}{calls}</assistant>\n"


LAGUNA: Final = RendererFamily(render=_render_laguna, leading_bos=_BOS)
LAGUNA_V8: Final = RendererFamily(render=_render_v8, leading_bos=_BOS)
