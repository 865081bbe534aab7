"""The generic tool parser: calls of declared tools behind a tag that the template gave away.

    text TAG ... NAME ... {arguments} ...

A call is the name of a declared tool together with the first JSON object in the text; the object may be the
arguments, or hold them under ``arguments``, ``parameters`` or the tool's name. With the tags ``{`` and ``[``, which
also occur in prose, the answer has to begin with the tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from pollama.prompts.parsers.arguments import load_object
from pollama.prompts.parsers.base import Output
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.parsers.scan import BalanceScanner
from pollama.prompts.spaces import trim
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_BRACKETS: Final = {"{": "}", "[": "]"}
_ARGUMENT_KEYS: Final = ("arguments", "parameters")


class ToolState(Enum):
    """Where in the answer the parser is."""

    LOOKING_FOR_TAG = "LookingForTag"
    CALLING = "ToolCalling"
    DONE = "Done"


class ToolParser:
    """Finds the calls in an answer. What stands behind the tag and is no call is not shown."""

    def __init__(self, tag: str, tools: Sequence[Tool]) -> None:
        self.tag = tag
        self.state = ToolState.LOOKING_FOR_TAG
        self.buffer = ""
        self.calls = 0
        self._names = [tool.name for tool in tools]
        self._longest_name = max(map(len, self._names), default=0)
        self._searched = 0
        self._objects = BalanceScanner("{", "}")
        self._object: tuple[int, dict[str, Json]] | None = None
        self._whole = BalanceScanner(tag, _BRACKETS[tag], floor=False) if tag in _BRACKETS else None

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part. At the end an answer that only looked like a call is released as content."""
        if self.state is ToolState.DONE:
            return Output(content=text)
        self.buffer += text
        output = Output()
        if self.state is ToolState.LOOKING_FOR_TAG:
            output.content = self._look_for_tag()
        if self.state is ToolState.CALLING:
            output.tool_calls = list(self._parse_calls())
            output.content += self._end_of_bracket()
        if done and not self.calls and (self._whole or self.state is ToolState.LOOKING_FOR_TAG):
            output.content += self.buffer
            self.buffer = ""
        return output

    def _look_for_tag(self) -> str:
        """Return the text before the tag, or before what could become one."""
        found = self.buffer.find(self.tag)
        position = found if found >= 0 else len(self.buffer) - overlap(self.buffer, self.tag)
        content = self.buffer[:position]
        if self._whole and trim(content):
            content, self.buffer = self.buffer, ""
            self.state = ToolState.DONE
            return content
        self.buffer = self.buffer[position:]
        if found >= 0:
            self.state = ToolState.CALLING
        return content

    def _end_of_bracket(self) -> str:
        """Return the rest of the text once as many brackets are closed as were opened in it.

        The bracket that closes a call is still there and counts as one too many, so the end of a second call is
        taken for the end of all when it arrives before the rest of that call: that is what Ollama does.
        """
        if not (self._whole and self._whole.next_span(self.buffer)):
            return ""
        content, self.buffer = self.buffer, ""
        self.state = ToolState.DONE
        return content

    def _parse_calls(self) -> Iterator[ToolCall]:
        while True:
            name_end, name = self._find_name()
            found = self._find_object() if name else None
            arguments = _arguments(found[1], name) if found else None
            if found is None or arguments is None:
                return
            yield ToolCall(name=name, arguments=arguments, index=self.calls)
            self.calls += 1
            self._drop(max(name_end, found[0] - 1))

    def _drop(self, count: int) -> None:
        self.buffer = self.buffer[count:]
        self._searched = 0
        self._objects.reset()
        self._object = None
        if self._whole:
            self._whole.reset()

    def _find_name(self) -> tuple[int, str]:
        """Return end and text of the first tool name; none while the text ends in the middle of one.

        No name begins before ``_searched``, so that no part of a long text is searched again with every part of it.
        """
        if overlap(self.buffer[-self._longest_name :], *self._names):
            return 0, ""
        places = [(self.buffer.find(name, self._searched), -len(name), name) for name in self._names]
        position, size, name = min((place for place in places if place[0] >= 0), default=(0, 0, ""))
        self._searched = position if name else max(0, len(self.buffer) - self._longest_name)
        return position - size, name

    def _find_object(self) -> tuple[int, dict[str, Json]] | None:
        """Return the first JSON object with the position behind it."""
        while self._object is None and (span := self._objects.next_span(self.buffer)):
            value = load_object(self.buffer[slice(*span)])
            if value is not None:
                self._object = (span[1], value)
        return self._object


def _arguments(value: dict[str, Json], name: str) -> dict[str, Json] | None:
    """Return the arguments that an object holds or is; None where it names a tool but gives it none."""
    named = next(_named_objects(value), None)
    if named is not None:
        given = (_as_object(named.get(key)) for key in _ARGUMENT_KEYS)
        return next((item for item in given if item is not None), None)
    own = _as_object(value.get(name))
    return value if own is None else own


def _named_objects(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, dict):
        if "name" in value:
            yield value
        for item in value.values():
            yield from _named_objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named_objects(item)


def _as_object(value: Json) -> dict[str, Json] | None:
    if isinstance(value, str):
        return load_object(value)
    return value if isinstance(value, dict) else None
