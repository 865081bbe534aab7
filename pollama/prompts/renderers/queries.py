"""Which message of a conversation asks the question that is being answered, and which begins the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.spaces import trim
from pollama.types.messages import Message

NOT_FOUND: Final = -1


def last_query(messages: Sequence[Message]) -> int:
    """Return the index of the last user message that is no tool result in disguise, or NOT_FOUND."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user" and not _is_tool_response(messages[index].content):
            return index
    return NOT_FOUND


def last_of_role(messages: Sequence[Message], role: str) -> int:
    """Return the index of the last message of a role, or NOT_FOUND."""
    return max((index for index, message in enumerate(messages) if message.role == role), default=NOT_FOUND)


def _is_tool_response(content: str) -> bool:
    text = trim(content)
    return text.startswith("<tool_response>") and text.endswith("</tool_response>")


def is_prefill(messages: Sequence[Message], index: int) -> bool:
    """Tell whether the message at ``index`` is the beginning of the answer: the last one, and the assistant's."""
    return index == len(messages) - 1 and messages[index].role == "assistant"
