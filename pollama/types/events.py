"""What ``inference`` yields to the dialects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pollama.types.generation import Logprob
from pollama.types.messages import ToolCall

DoneReason = Literal["stop", "length", "load", "unload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the answer, in the order in which it was produced; any of the fields may be empty."""

    content: str = ""
    thinking: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of an answer. Durations in nanoseconds, as clients see them; 0 = not stated.

    ``last`` is what belongs to the final record itself (text released or calls recognised at the very end).
    ``context`` are the token ids for a follow-up /api/generate (None: raw mode or chat).
    """

    reason: DoneReason
    last: Piece = field(default_factory=Piece)
    context: list[int] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_tokens: int = 0
    prompt_duration: int = 0
    generated_tokens: int = 0
    generate_duration: int = 0
    cached_tokens: int = 0
    stopped_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The answer to ``_debug_render_only``: the prompt instead of a generation."""

    template: str
    image_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors in input order, each of the model's embedding length (or ``dimensions``)."""

    vectors: list[list[float]]
    prompt_tokens: int = 0
    total_duration: int = 0
    load_duration: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One line of a long store operation (create, pull, push); sizes in bytes, 0 = not stated."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0
