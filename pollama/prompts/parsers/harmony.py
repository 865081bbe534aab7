"""The gpt-oss format.

    <|start|>HEADER<|message|>BODY<|end|> ...
    HEADER = ROLE [to=RECIPIENT] [<|channel|>CHANNEL [to=RECIPIENT] [<|constrain|>json]]

Channel ``analysis`` is thinking, ``commentary`` and ``final`` are content; a recipient makes the body the arguments
of a call. The prompt ends with the start of the first message, so an answer begins inside its header.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.arguments import parse_arguments
from pollama.prompts.parsers.base import Output, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.harmony_names import ToolNames, renamed_tools
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.spaces import split_first_word, split_words, trim
from pollama.types.generation import CallFormat
from pollama.types.messages import Message, ToolCall

_START: Final = "<|start|>"
_MESSAGE: Final = "<|message|>"
_END: Final = "<|end|>"
_CHANNEL: Final = "<|channel|>"
_CONSTRAIN: Final = "<|constrain|>"
_RECIPIENT: Final = "to="
_FUNCTIONS: Final = "functions."


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a message says."""

    role: str
    channel: str
    recipient: str


@dataclass(frozen=True, slots=True)
class MessageStart:
    """A message begins."""


@dataclass(frozen=True, slots=True)
class Content:
    """A part of the body."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """A message is complete."""


Event = MessageStart | Header | Content | MessageEnd


def parse_header(text: str) -> Header:
    """Return what a header says; ``text`` is what stands between start and message tag."""
    text = text.replace(_CONSTRAIN, f" {_CONSTRAIN}")
    before, found, behind = text.partition(_CHANNEL)
    channel = ""
    if found:
        channel, rest = split_first_word(behind)
        text = before + rest
    words = split_words(trim(text))
    role, recipient = words[0] if words else "", ""
    if role.startswith(_RECIPIENT):
        role, recipient = "tool", role.removeprefix(_RECIPIENT)
    if not recipient and len(words) > 1 and words[1].startswith(_RECIPIENT):
        recipient = words[1].removeprefix(_RECIPIENT)
    return Header(role, channel, recipient)


class EventState(Enum):
    """Where in the format a text is."""

    BETWEEN = "LookingForMessageStart"
    HEADER = "ParsingHeader"
    BODY = "ParsingContent"


class EventParser:
    """Turns text into the events of the format. Text between messages is dropped."""

    def __init__(self) -> None:
        self.state = EventState.BETWEEN
        self.buffer = ""

    def feed(self, text: str) -> list[Event]:
        """Take the next part of the text."""
        self.buffer += text
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        while True:
            if self.state is EventState.BETWEEN:
                if self._take_until(_START) is None:
                    return
                self.state = EventState.HEADER
                yield MessageStart()
            elif self.state is EventState.HEADER:
                header = self._take_until(_MESSAGE)
                if header is None:
                    return
                self.state = EventState.BODY
                yield parse_header(header)
            else:
                body = self._take_until(_END)
                content = self._take_content() if body is None else body
                if content:
                    yield Content(content)
                if body is None:
                    return
                self.state = EventState.BETWEEN
                yield MessageEnd()

    def _take_until(self, tag: str) -> str | None:
        before, found, behind = self.buffer.partition(tag)
        if not found:
            return None
        self.buffer = behind
        return before

    def _take_content(self) -> str:
        kept = len(self.buffer) - overlap(self.buffer, _END)
        content, self.buffer = self.buffer[:kept], self.buffer[kept:]
        return content


class _Target(Enum):
    """Where the body of a message goes."""

    CONTENT = auto()
    THINKING = auto()
    CALL = auto()


class HarmonyParser:
    """Reads one answer. A call is recognised at its end, so there is at most one."""

    def __init__(self, context: ParserContext) -> None:
        self._events = EventParser()
        self._events.feed(_implicit_start(context.last_message))
        self._names = ToolNames()
        for tool in context.tools:
            self._names.add(tool.name)
        self._target = _Target.CONTENT
        if self._events.state is EventState.BODY and not _has_content(context.last_message):
            self._target = _Target.THINKING
        self._recipient = ""
        self._arguments: list[str] = []

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. Raises ParserError at the end where the arguments of a call are no JSON object."""
        output = Output()
        for event in self._events.feed(text):
            if isinstance(event, Header):
                self._direct(event)
            elif isinstance(event, Content):
                self._take(event.text, output)
            elif isinstance(event, MessageEnd):
                self._target = _Target.CONTENT
        if done and self._recipient:
            output.tool_calls.append(self._call())
        return output

    def _direct(self, header: Header) -> None:
        if header.channel in ("analysis", "commentary") and header.recipient:
            self._target = _Target.CALL
            self._recipient = header.recipient
        elif header.channel == "analysis":
            self._target = _Target.THINKING
        elif header.channel in ("commentary", "final"):
            self._target = _Target.CONTENT

    def _take(self, text: str, output: Output) -> None:
        if self._target is _Target.CALL:
            self._arguments.append(text)
        elif self._target is _Target.THINKING:
            output.thinking += text
        else:
            output.content += text

    def _call(self) -> ToolCall:
        raw = "".join(self._arguments)
        try:
            arguments = parse_arguments(raw)
        except ValueError as error:
            raise ParserError(f"error parsing tool call: raw='{raw}', err={error}") from None
        name = self._names.original(self._recipient.removeprefix(_FUNCTIONS))
        self._recipient = ""
        return ToolCall(name=name, arguments=arguments)


def _has_content(message: Message | None) -> bool:
    return bool(message and message.content)


def _implicit_start(last: Message | None) -> str:
    """Return the start of the answer that stands in the prompt already."""
    start = f"{_START}assistant"
    if last and last.role == "assistant":
        if last.content:
            return f"{start}{_CHANNEL}final{_MESSAGE}"
        if last.thinking:
            return f"{start}{_CHANNEL}analysis{_MESSAGE}"
    return start


FAMILY: Final = ParserFamily(
    make=HarmonyParser,
    tools=True,
    thinking=True,
    preserved=(_START, _END, _MESSAGE, _CHANNEL, _CONSTRAIN),
    prompt_tools=renamed_tools,
    calls=CallFormat(
        tag=f" to={_FUNCTIONS}",
        between=tuple(
            f"{channel}{kind}{_MESSAGE}"
            for channel in ("", f"{_CHANNEL}commentary")
            for kind in (f" {_CONSTRAIN}json", " json", "")
        ),
        lead=f"{_CHANNEL}commentary",
        single=True,
    ),
    thought=(f"{_CHANNEL}analysis{_MESSAGE}", f"{_END}{_START}assistant"),
)
