"""Merging of consecutive messages, as the Go template path does before it renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pollama.types.messages import Message


def collate(messages: Sequence[Message]) -> tuple[list[Message], str]:
    """Return the merged messages and all system texts joined.

    The texts of neighbours with the same role are joined by an empty line; what else the later ones carry
    (images, tool calls, thinking) is lost, as in Ollama. Tool messages are never merged.
    """
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role != "tool":
            merged[-1] = replace(merged[-1], content=f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    return merged, system
