"""Requests in pollama's own form: what every dialect is decoded to and ``inference`` carries out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pollama.types.json import Json
from pollama.types.messages import Message, Think, Tool
from pollama.types.multigpu import Wish

FOREVER = float("inf")
"""A keep-alive that never runs out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """``format`` of a request. ``given`` is true even for null and ""; ``value`` is the raw JSON value."""

    given: bool = False
    value: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Whether an answer may call tools.

    ``auto``: the model decides. ``none``: the tools are not shown to it and nothing is read as a call. ``required``:
    after its thinking, if it thinks, the answer is a call and nothing else; ``name`` says of which tool (empty: of
    any). A grammar holds the model to that from the first token of the answer, so ``format`` has no say there.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    name: str = ""


@dataclass(slots=True, kw_only=True)
class GenerationRequest:
    """What chat and completion requests share.

    ``keep_alive`` is seconds, FOREVER, or None (not stated). ``model`` is the name exactly as sent.
    ``lenient_think``: drop an unsupported ``think`` instead of refusing it (the Anthropic dialect). ``logit_bias`` is
    added to the logits of token ids; Ollama's own dialect has none. ``choice`` numbers several answers to one request,
    so that a fixed seed does not give the same one again. ``wish`` is what it asks of the devices.
    """

    model: str
    options: dict[str, Json] = field(default_factory=dict)
    keep_alive: float | None = None
    format: Format = field(default_factory=Format)
    think: Think = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = False
    lenient_think: bool = False
    logit_bias: dict[int, float] = field(default_factory=dict)
    choice: int = 0
    wish: Wish = field(default_factory=Wish)


@dataclass(slots=True, kw_only=True)
class ChatRequest(GenerationRequest):
    """A conversation to continue. No messages = load the model, or unload it when ``keep_alive`` is 0.

    Ollama's own dialect has no ``tool_choice``; those of others do.
    """

    messages: list[Message] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice = field(default_factory=ToolChoice)

    @property
    def offered_tools(self) -> list[Tool]:
        """The tools that the model is shown."""
        return [] if self.tool_choice.mode == "none" else self.tools


@dataclass(slots=True, kw_only=True)
class CompletionRequest(GenerationRequest):
    """A prompt to complete. An empty prompt = load, or unload when ``keep_alive`` is 0.

    ``context`` None = absent; an empty list suppresses the model's preset messages.
    """

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[int] | None = None
    raw: bool = False
    images: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class EmbedRequest:
    """Texts to embed. ``normalize`` false (the old endpoint) leaves vectors that a model hands out raw as they are."""

    model: str
    inputs: list[str] = field(default_factory=list)
    truncate: bool = True
    dimensions: int = 0
    keep_alive: float | None = None
    options: dict[str, Json] = field(default_factory=dict)
    normalize: bool = True
