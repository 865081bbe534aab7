"""DeepSeek 3 and Cogito.

    [thought </think>] text <｜tool▁calls▁begin｜>CALL...<｜tool▁calls▁end｜> text ...
    CALL = <｜tool▁call▁begin｜>BODY<｜tool▁call▁end｜>

BODY of DeepSeek is ``NAME<｜tool▁sep｜>{...}``; that of Cogito is ``function<｜tool▁sep｜>NAME``, a line feed and the
arguments in a fence. A call that cannot be read is dropped. Results of tools that a model makes up are plain text from
DeepSeek and dropped from Cogito.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.arguments import parse_arguments
from pollama.prompts.parsers.base import Output, OutputParser, ParserContext, ParserFamily
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.leading_thought import CLOSING, OPENING, LeadingThought
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.states import StateParser
from pollama.prompts.parsers.withhold import first_tag
from pollama.prompts.spaces import GO_SPACES, trim
from pollama.types.generation import CallFormat
from pollama.types.messages import ToolCall

_CALLS: Final = "<｜tool▁calls▁begin｜>"
_CALLS_END: Final = "<｜tool▁calls▁end｜>"
_CALL: Final = "<｜tool▁call▁begin｜>"
_CALL_END: Final = "<｜tool▁call▁end｜>"
_SEPARATOR: Final = "<｜tool▁sep｜>"
_OUTPUT: Final = "<｜tool▁output▁begin｜>"
_OUTPUT_END: Final = "<｜tool▁output▁end｜>"
_OUTPUTS: Final = "<｜tool▁outputs▁begin｜>"
_OUTPUTS_END: Final = "<｜tool▁outputs▁end｜>"
_FENCE: Final = "\n```json\n"
_FENCE_END: Final = "\n```"


class _State(Enum):
    CONTENT = auto()
    CALLS = auto()
    RESULT = auto()


class _Calls(StateParser[_State]):
    """Reads an answer behind its thought. Calls and results that are not complete at its end are lost."""

    def __init__(
        self, read_call: Callable[[str], ToolCall], result_tags: tuple[str, str], *, shows_results: bool
    ) -> None:
        super().__init__(
            _State.CONTENT,
            {_State.CONTENT: self._content, _State.CALLS: self._take_call, _State.RESULT: self._skip_result},
        )
        self._read_call = read_call
        self._result, self._result_end = result_tags
        self._shows_results = shows_results

    def _content(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, _CALLS, self._result)
        if not tag:
            kept = len(self._buffer) - overlap(self._buffer, _CALLS, self._result)
            output.content += self._buffer[:kept]
            self._buffer = self._buffer[kept:]
            return False
        before = self._buffer[:position]
        is_shown = tag == self._result and self._shows_results
        output.content += before if is_shown else before.rstrip(GO_SPACES)
        self._buffer = self._buffer[position + len(tag) :]
        self._state = _State.CALLS if tag == _CALLS else _State.RESULT
        return True

    def _take_call(self, output: Output) -> bool:
        position, tag = first_tag(self._buffer, _CALL_END, _CALLS_END)
        if not tag:
            return False
        before = self._buffer[:position]
        self._buffer = self._buffer[position + len(tag) :]
        if tag == _CALLS_END:
            self._buffer = self._buffer.lstrip(GO_SPACES)
            self._state = _State.CONTENT
        else:
            self._add_call(before.partition(_CALL)[2], output)
        return True

    def _add_call(self, body: str, output: Output) -> None:
        try:
            call = self._read_call(body)
        except ValueError:
            return
        self._add(call, output)

    def _skip_result(self, output: Output) -> bool:
        result, found, behind = self._buffer.partition(self._result_end)
        if not found:
            return False
        if self._shows_results:
            output.content += result
        self._buffer = behind if self._shows_results else behind.lstrip(GO_SPACES)
        self._state = _State.CONTENT
        return True

    def _release(self, rest: str, output: Output) -> None:
        if self._state is _State.CONTENT:
            output.content += rest


def _read_deepseek(body: str) -> ToolCall:
    name, found, arguments = body.partition(_SEPARATOR)
    if not found:
        raise ValueError("a call has no arguments")
    return ToolCall(name=trim(name), arguments=parse_arguments(trim(arguments)))


def _read_cogito(body: str) -> ToolCall:
    name, found, fenced = body.partition(_SEPARATOR)[2].partition(_FENCE)
    arguments, closed, _ = fenced.rpartition(_FENCE_END)
    if not (found and closed):
        raise ValueError("a call has no arguments")
    return ToolCall(name=trim(name), arguments=parse_arguments(arguments))


def _make_deepseek(context: ParserContext) -> OutputParser:
    calls = _Calls(_read_deepseek, (_OUTPUT, _OUTPUT_END), shows_results=True)
    thinks = context.think and not context.continues_content
    return Stages(LeadingThought(trims_answer=False), calls) if thinks else calls


def _make_cogito(context: ParserContext) -> OutputParser:
    calls = _Calls(_read_cogito, (_OUTPUTS, _OUTPUTS_END), shows_results=False)
    thinks = context.think and not context.tools and not context.continues_content
    return Stages(LeadingThought(trims_answer=False), calls) if thinks else calls


DEEPSEEK3: Final = ParserFamily(
    make=_make_deepseek,
    tools=True,
    thinking=True,
    preserved=(_CALLS, _CALLS_END, _CALL, _CALL_END, _SEPARATOR, _OUTPUT, _OUTPUT_END),
    calls=CallFormat(tag=_CALL, between=(_SEPARATOR,), behind=_CALL_END, lead=_CALLS),
    thought=(OPENING, CLOSING),
)
COGITO: Final = ParserFamily(
    make=_make_cogito,
    tools=True,
    thinking=True,
    preserved=(_CALLS, _CALLS_END, _CALL, _CALL_END, _SEPARATOR, _OUTPUTS, _OUTPUTS_END, _OUTPUT, _OUTPUT_END),
    calls=CallFormat(
        tag=_CALL,
        before=(f"function{_SEPARATOR}",),
        between=(_FENCE,),
        behind=f"{_FENCE_END}{_CALL_END}",
        lead=_CALLS,
    ),
    thought=(OPENING, CLOSING),
)
