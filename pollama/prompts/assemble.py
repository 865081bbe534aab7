"""From a request to the list of messages that a prompt is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import Message
from pollama.types.model import Model, StoredModel
from pollama.types.requests import CompletionRequest

_THOUGHT: Final = re.compile(f"<think>.*?</think>[{re.escape(GO_SPACES)}]*", re.DOTALL)


def chat_messages(model: Model, messages: Sequence[Message]) -> list[Message]:
    """Return preset and own messages; the model's system text leads unless the request begins with one."""
    stored = model.stored
    assembled = [*stored.messages, *messages]
    if stored.system and messages and messages[0].role != "system":
        assembled.insert(0, Message(role="system", content=stored.system))
    return _without_old_thoughts(assembled) if _writes_thoughts_into_content(stored) else assembled


def completion_messages(model: Model, request: CompletionRequest) -> list[Message]:
    """Return system text, preset messages (unless a context is given) and the prompt as a user message."""
    system = request.system or model.stored.system
    return [
        *([Message(role="system", content=system)] if system else []),
        *(model.stored.messages if request.context is None else ()),
        Message(role="user", content=request.prompt, images=list(request.images)),
    ]


def _writes_thoughts_into_content(stored: StoredModel) -> bool:
    return stored.config.model_family == "qwen3" or _bare_name(stored.name) == "deepseek-r1"


def _bare_name(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _without_old_thoughts(messages: list[Message]) -> list[Message]:
    """Return the messages without a thought at the start of assistant messages before the last user message."""
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    return [
        _without_thought(message) if index < last_user and message.role == "assistant" else message
        for index, message in enumerate(messages)
    ]


def _without_thought(message: Message) -> Message:
    match = _THOUGHT.match(message.content)
    return replace(message, content=message.content[match.end() :]) if match else message
