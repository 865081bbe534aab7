"""Qwen3 and its relatives.

    [thought </think>] content [<tool_call>CALL</tool_call> ...] content

CALL is JSON ``{"name": .., "arguments": {..}}`` (Qwen3, Qwen3-VL) or the almost-XML of ``xml_call`` (Qwen3-Coder,
Qwen3.5, Ornith, Nemotron 3). White space around tags is dropped, white space at the end of the answer is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.arguments import as_arguments, parse_json
from pollama.prompts.parsers.base import Output, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.withhold import first_tag, settled
from pollama.prompts.parsers.xml_call import parse_xml_call
from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import ToolCall

_THINK: Final = "<think>"
_END_THINK: Final = "</think>"
_CALL: Final = "<tool_call>"
_END_CALL: Final = "</tool_call>"

ReadCall = Callable[[str], ToolCall]


class _State(Enum):
    THINK_TAG = auto()
    THINKING = auto()
    AFTER_THINKING = auto()
    CONTENT = auto()
    CALL = auto()


class QwenParser:
    """Reads one answer. ``read_call`` turns what stands between the call tags into a call or raises ValueError."""

    def __init__(self, read_call: ReadCall, *, thinking: bool, call_ends_thinking: bool = True) -> None:
        self._read_call = read_call
        self._state = _State.THINK_TAG if thinking else _State.CONTENT
        self._ends = (_END_THINK, _CALL) if call_ends_thinking else (_END_THINK,)
        self._buffer = ""
        self._calls = 0

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. Raises ParserError for a call that cannot be read."""
        del done
        self._buffer += text
        output = Output()
        steps = {
            _State.THINK_TAG: self._skip_think_tag,
            _State.THINKING: self._think,
            _State.AFTER_THINKING: self._skip_spaces,
            _State.CONTENT: self._content,
            _State.CALL: self._call,
        }
        while self._buffer and steps[self._state](output):
            pass
        return output

    def _skip_think_tag(self, _output: Output) -> bool:
        """Drop one opening tag; a model may repeat the one that ends its prompt."""
        trimmed = self._buffer.lstrip(GO_SPACES)
        if _THINK.startswith(trimmed) and trimmed != _THINK:
            return False
        if trimmed.startswith(_THINK):
            self._buffer = trimmed.removeprefix(_THINK)
        self._state = _State.THINKING
        return True

    def _think(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, *self._ends)
        if not tag:
            output.thinking += self._release(*self._ends)
            return False
        output.thinking += self._buffer[:position].rstrip(GO_SPACES)
        self._buffer = self._buffer[position + len(tag) :].lstrip(GO_SPACES)
        self._state = _State.CALL if tag == _CALL else _State.AFTER_THINKING
        return True

    def _skip_spaces(self, _output: Output) -> bool:
        self._buffer = self._buffer.lstrip(GO_SPACES)
        if self._buffer:
            self._state = _State.CONTENT
        return bool(self._buffer)

    def _content(self, output: Output) -> bool:
        before, found, behind = self._buffer.partition(_CALL)
        if not found:
            output.content += self._release(_CALL)
            return False
        output.content += before.rstrip(GO_SPACES)
        self._buffer = behind
        self._state = _State.CALL
        return True

    def _call(self, output: Output) -> bool:
        raw, found, behind = self._buffer.partition(_END_CALL)
        if not found:
            return False
        try:
            call = self._read_call(raw)
        except ValueError as error:
            raise ParserError(str(error), output) from None
        call.index = self._calls
        self._calls += 1
        output.tool_calls.append(call)
        self._buffer = behind.lstrip(GO_SPACES)
        self._state = _State.CONTENT
        return True

    def _release(self, *tags: str) -> str:
        end = settled(self._buffer, *tags)
        released, self._buffer = self._buffer[:end], self._buffer[end:]
        return released


def read_json_call(raw: str, prefix: str = "failed to parse JSON: ") -> ToolCall:
    """Return the call that a JSON object describes; keys match in any case. Raises ValueError."""
    try:
        value = parse_json(raw)
        if not isinstance(value, dict):
            raise ValueError("json: cannot unmarshal value into Go value of type object")
        members = {key.lower(): item for key, item in value.items()}
        arguments = as_arguments(members.get("arguments", {}))
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from None
    name = members.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("empty function name")
    return ToolCall(name=name, arguments=arguments)


def _json(context: ParserContext) -> QwenParser:
    return QwenParser(read_json_call, thinking=False)


def _json_thinking(context: ParserContext) -> QwenParser:
    return QwenParser(read_json_call, thinking=context.think is not False)


def _xml(context: ParserContext) -> QwenParser:
    return QwenParser(lambda raw: parse_xml_call(raw, context.tools), thinking=False)


_CALL_TAGS: Final = (_CALL, _END_CALL)
_ALL_TAGS: Final = (_THINK, _END_THINK, *_CALL_TAGS)

QWEN3: Final = ParserFamily(make=_json, tools=True, thinking=False, preserved=_CALL_TAGS)
QWEN3_THINKING: Final = ParserFamily(make=_json_thinking, tools=True, thinking=True, preserved=_ALL_TAGS)
QWEN3_CODER: Final = ParserFamily(make=_xml, tools=True, thinking=False, preserved=_CALL_TAGS)
