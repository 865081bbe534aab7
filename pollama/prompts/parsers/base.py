"""What every output parser is: the Protocol, its result, its error, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pollama.errors import GenerationError
from pollama.types.generation import CallFormat
from pollama.types.messages import Message, Think, Tool, ToolCall


@dataclass(slots=True, kw_only=True)
class Output:
    """What one call of a parser released; any of the fields may be empty."""

    content: str = ""
    thinking: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.thinking or self.tool_calls)

    def add(self, other: Output) -> None:
        """Append what a later call released."""
        self.content += other.content
        self.thinking += other.thinking
        self.tool_calls += other.tool_calls


class ParserError(GenerationError):
    """The model's text breaks its own format; ``partial`` is what had been recognised in the same call."""

    def __init__(self, message: str, partial: Output | None = None) -> None:
        super().__init__(message)
        self.partial = partial or Output()


class OutputParser(Protocol):
    """Splits the text of one answer into content, thinking and tool calls, as it arrives."""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part of the text; ``done`` says that it is the last (it may be empty). Raises ParserError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserContext:
    """What a built-in parser may know of the request.

    ``last_message`` is the last message of the conversation (a prefill when its role is assistant).
    """

    tools: Sequence[Tool] = ()
    last_message: Message | None = None
    think: Think = None

    @property
    def continues_content(self) -> bool:
        """Whether the prompt ends inside the content of the answer."""
        last = self.last_message
        return bool(last and last.role == "assistant" and last.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserFamily:
    """A built-in parser as the registry lists it.

    ``preserved`` are the special tokens that the engine must print as text for this parser. ``prompt_tools``
    gives the tools as the prompt has to show them, where the format allows fewer names than the API. ``calls`` is how
    the models write calls (None: in a way that cannot be required of them), ``thought`` the tags around their thoughts.
    """

    make: Callable[[ParserContext], OutputParser]
    tools: bool
    thinking: bool
    preserved: tuple[str, ...] = ()
    prompt_tools: Callable[[Sequence[Tool]], list[Tool]] | None = None
    calls: CallFormat | None = None
    thought: tuple[str, str] | None = None
