"""Cohere Command A (2026) and North.

Wire format: ``<|START_OF_TURN_TOKEN|><|USER_TOKEN|><|START_TEXT|>CONTENT<|END_TEXT|><|END_OF_TURN_TOKEN|>`` per turn,
without line feeds between turns. The first turn is the system's and always lists the tools, if any. An answer is
thoughts, then either content or, with the odd indents of the published template, calls, which are numbered through the
conversation; results of consecutive tool messages are one system turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.function_text import described_function
from pollama.prompts.renderers.values import argument_values, spaced_json
from pollama.types.gojson import quote
from pollama.types.messages import Message, Tool

_BOS: Final = "<BOS_TOKEN>"
_TURN: Final = "<|START_OF_TURN_TOKEN|>"
_TURN_END: Final = "<|END_OF_TURN_TOKEN|>"
_SYSTEM: Final = f"{_TURN}<|SYSTEM_TOKEN|>"
_USER: Final = f"{_TURN}<|USER_TOKEN|>"
_CHATBOT: Final = f"{_TURN}<|CHATBOT_TOKEN|>"
_TEXT: Final = "<|START_TEXT|>"
_TEXT_END: Final = "<|END_TEXT|>"
_THINK: Final = "<|START_THINKING|>"
_THINK_END: Final = "<|END_THINKING|>"
_ACTION_INDENT: Final = "\n            \n                "
_RESULT_INDENT: Final = "\n\n            \n            "
_TOOLS_HEADING: Final = "# Available Tools\n```json\n[\n\n"


def _render(context: RenderContext) -> str:
    messages = context.messages
    leads = bool(messages) and messages[0].role == "system"
    text = _preamble(messages[0].content if leads else "", context.tools)
    turns = [message for message in messages[1 if leads else 0 :] if message.role in _ROLES]
    numbers = _Numbers()
    for index, message in enumerate(turns):
        if message.role == "assistant":
            text += _answer(message, numbers)
        elif message.role == "tool":
            text += _result(turns, index, numbers)
        else:
            text += (_USER if message.role == "user" else _SYSTEM) + _text(message.content) + _TURN_END
    if turns and turns[-1].role == "assistant" and not turns[-1].tool_calls:
        return text.removesuffix(_TEXT_END + _TURN_END)
    return text + _CHATBOT + _THINK + (_THINK_END if context.think is False else "")


_ROLES: Final = ("system", "user", "assistant", "tool")


class _Numbers:
    """The numbers of the calls of a conversation, by the ids that the client gave them."""

    def __init__(self) -> None:
        self._count = 0
        self._by_id: dict[str, str] = {}

    def of_call(self, call_id: str) -> str:
        """Return the number of the next call."""
        number = str(self._count)
        self._count += 1
        if call_id:
            self._by_id[call_id] = number
        return number

    def of_result(self, call_id: str) -> str:
        """Return the number of the call that a result answers, or its own id where there is no such call."""
        return self._by_id.get(call_id, call_id)


def _text(content: str) -> str:
    return _TEXT + content + _TEXT_END


def _preamble(system: str, tools: Sequence[Tool]) -> str:
    listed = ",\n\n\n".join(f"    {spaced_json({**described_function(tool), 'responses': None})}" for tool in tools)
    head = f"{system}\n\n\n\n" if system else ""
    ending = "\n\n\n]\n```" if tools else "\n\n]\n```"
    return _SYSTEM + _text(head + _TOOLS_HEADING + listed + ending) + _TURN_END


def _answer(message: Message, numbers: _Numbers) -> str:
    thoughts = _THINK + message.thinking + _THINK_END if message.thinking else ""
    if not message.tool_calls:
        return _CHATBOT + thoughts + _text(message.content) + _TURN_END
    calls = ",\n\n".join(
        f'    {{"tool_call_id": {quote(numbers.of_call(call.id))}, "tool_name": {quote(call.name)}, '
        f'"parameters": {spaced_json(argument_values(call.arguments))}}}'
        for call in message.tool_calls
    )
    return f"{_CHATBOT}{_ACTION_INDENT}{thoughts}<|START_ACTION|>[\n\n{calls}\n\n]<|END_ACTION|>{_TURN_END}"


def _result(turns: Sequence[Message], index: int, numbers: _Numbers) -> str:
    first = index == 0 or turns[index - 1].role != "tool"
    last = index == len(turns) - 1 or turns[index + 1].role != "tool"
    opening = f"{_SYSTEM}<|START_TOOL_RESULT|>[\n" if first else ""
    closing = f"\n\n]<|END_TOOL_RESULT|>{_TURN_END}" if last else ",\n"
    message = turns[index]
    number = quote(numbers.of_result(message.tool_call_id))
    result = f'{_RESULT_INDENT}"0": {{"content": {quote(message.content)}}}\n\n        '
    lines = [
        "    {",
        f'        "tool_call_id": {number},',
        f'        "results": {{{result}}},',
        '        "is_error": null',
        "    }",
    ]
    return opening + "\n".join(lines) + closing


COHERE: Final = RendererFamily(render=_render, leading_bos=_BOS)
