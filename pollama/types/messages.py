"""Conversation values: messages, tools, tool calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pollama.types.json import Json

Think: TypeAlias = bool | Literal["low", "medium", "high", "max"] | None
"""None = not stated by the client."""


@dataclass(slots=True, kw_only=True)
class ToolCall:
    """A call of a tool. ``arguments`` keeps the key order in which the model (or the client) wrote it."""

    name: str
    arguments: dict[str, Json] | None = None
    index: int = 0
    id: str = ""


@dataclass(slots=True, kw_only=True)
class Message:
    """One turn. ``images`` are decoded bytes (image or audio files)."""

    role: str
    content: str = ""
    thinking: str = ""
    images: list[bytes] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(slots=True, kw_only=True)
class ToolProperty:
    """The part of a JSON schema that Ollama keeps of one tool parameter."""

    any_of: list[ToolProperty] = field(default_factory=list)
    type: tuple[str, ...] = ()
    items: Json = None
    description: str = ""
    enum: list[Json] = field(default_factory=list)
    properties: dict[str, ToolProperty] | None = None
    required: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ToolParameters:
    """``parameters`` of a tool. ``properties`` None = absent (written as null)."""

    type: str = ""
    defs: Json = None
    items: Json = None
    required: list[str] = field(default_factory=list)
    properties: dict[str, ToolProperty] | None = None


@dataclass(slots=True, kw_only=True)
class Tool:
    """A tool that the model may call."""

    name: str
    description: str = ""
    parameters: ToolParameters = field(default_factory=ToolParameters)
    type: str = ""
    items: Json = None
