"""Cohere Command.

    thought <|END_THINKING|> <|START_TEXT|> text <|END_TEXT|> <|START_ACTION|>[CALL, ...]<|END_ACTION|> ...
    CALL = {"tool_call_id": ID, "tool_name": NAME, "parameters": {...}}

RESPONSE stands for TEXT in some models. Text may also come without tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.arguments import as_arguments, load_json
from pollama.prompts.parsers.base import Output, ParserContext, ParserFamily
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.scan import BalanceScanner
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag, settled
from pollama.prompts.spaces import GO_SPACES
from pollama.types.generation import CallFormat
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_THINKING: Final = "<|START_THINKING|>"
_THINKING_END: Final = "<|END_THINKING|>"
_ACTION: Final = "<|START_ACTION|>"
_ACTION_END: Final = "<|END_ACTION|>"
_TEXTS: Final = ("<|START_TEXT|>", "<|START_RESPONSE|>")
_TEXT_ENDS: Final = ("<|END_TEXT|>", "<|END_RESPONSE|>")
_TURN_END: Final = "<|END_OF_TURN_TOKEN|>"


class _State(Enum):
    THINKING = auto()
    BETWEEN = auto()
    TEXT = auto()
    ACTION = auto()


class CohereParser(StateParser[_State]):
    """Reads one answer."""

    def __init__(self, context: ParserContext) -> None:
        thinks = context.think is not False and not context.continues_content
        state = _State.THINKING if thinks else _State.TEXT if context.continues_content else _State.BETWEEN
        super().__init__(
            state,
            {
                _State.THINKING: self._think,
                _State.BETWEEN: self._between,
                _State.TEXT: self._text,
                _State.ACTION: self._action,
            },
        )

    def _think(self, output: Output) -> bool:
        thought, found, behind = self._buffer.partition(_THINKING_END)
        kept = len(thought.rstrip(GO_SPACES)) if found else settled(thought, _THINKING_END)
        output.thinking += thought[:kept]
        self._buffer = behind if found else thought[kept:]
        if found:
            self._state = _State.BETWEEN
        return bool(found)

    def _between(self, _output: Output) -> bool:
        self._buffer = self._buffer.lstrip(GO_SPACES)
        tags = (*_TEXTS, _ACTION, _TURN_END)
        for tag in tags:
            if self._buffer.startswith(tag):
                self._buffer = self._buffer.removeprefix(tag)
                self._state = _State.ACTION if tag == _ACTION else _State.TEXT if tag in _TEXTS else _State.BETWEEN
                return True
        if any(tag.startswith(self._buffer) for tag in tags):
            return False
        self._state = _State.TEXT
        return True

    def _text(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, *_TEXT_ENDS, _TURN_END)
        kept = position if tag else len(self._buffer) - overlap(self._buffer, *_TEXT_ENDS, _TURN_END)
        output.content += self._buffer[:kept]
        self._buffer = self._buffer[kept + len(tag) :]
        if tag in _TEXT_ENDS:
            self._state = _State.BETWEEN
        return bool(tag)

    def _action(self, output: Output) -> bool:
        text, found, behind = self._buffer.partition(_ACTION_END)
        if not found:
            return False
        self._add_calls(text, output)
        self._buffer = behind
        self._state = _State.BETWEEN
        return True

    def _release(self, rest: str, output: Output) -> None:
        if self._state is _State.ACTION:
            self._add_calls(rest, output)
        elif self._state is _State.TEXT:
            output.content += rest

    def _add_calls(self, text: str, output: Output) -> None:
        for call in _read_calls(text):
            self._add(call, output)


def _read_calls(text: str) -> list[ToolCall]:
    """Return the calls of a list, or those of its objects that can be read where the list as a whole cannot."""
    try:
        value = load_json(text)
        return [_call(item) for item in (value if isinstance(value, list) else [value])]
    except ValueError:
        return list(_salvaged(text))


def _salvaged(text: str) -> Iterator[ToolCall]:
    scanner = BalanceScanner("{", "}")
    while span := scanner.next_span(text):
        try:
            yield _call(load_json(text[slice(*span)]))
        except ValueError:
            continue


def _call(value: Json) -> ToolCall:
    if not isinstance(value, dict):
        raise ValueError("a call is no object")
    name, identity = value.get("tool_name", ""), value.get("tool_call_id", "")
    if not (isinstance(name, str) and isinstance(identity, str)):
        raise ValueError("a name is no text")
    return ToolCall(name=name, id=identity, arguments=as_arguments(value.get("parameters", {})))


FAMILY: Final = ParserFamily(
    make=CohereParser,
    tools=True,
    thinking=True,
    preserved=(
        _THINKING,
        _THINKING_END,
        _TEXTS[0],
        _TEXT_ENDS[0],
        _ACTION,
        _ACTION_END,
        _TEXTS[1],
        _TEXT_ENDS[1],
    ),
    calls=CallFormat(
        tag=_ACTION,
        before=tuple(f'{{␣"tool_call_id"␣:␣"{number}"␣,␣"tool_name"␣:␣"' for number in range(10)),
        between=('"␣,␣"parameters"␣:␣',),
        behind="}",
        listed=True,
    ),
    thought=(_THINKING, _THINKING_END),
)
