"""The call format of Qwen3-Coder: almost XML.

    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>

Only these four tags are markup; anything else, brackets and ampersands included, is text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pollama.prompts.parsers.markup import check_characters, normal_lines, syntax_error
from pollama.prompts.parsers.typed import declared_property, typed_block
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_TAG: Final = re.compile(r"<(\w+)=([^>]+)>|</(function|parameter)>", re.ASCII)
_ELEMENTS: Final = ("function", "parameter")
_ESCAPES: Final = {
    '"': "&#34;",
    "'": "&#39;",
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\t": "&#x9;",
    "\n": "&#xA;",
    "\r": "&#xD;",
}


def parse_xml_call(text: str, tools: Sequence[Tool]) -> ToolCall:
    """Return the first call in ``text``. Raises ValueError in the words of Go's XML decoder."""
    reader = _Reader(text)
    arguments: dict[str, Json] = {}
    for key, value in reader.read():
        arguments[key] = typed_block(value, declared_property(tools, reader.name, key))
    return ToolCall(name=reader.name, arguments=arguments)


class _Reader:
    """Walks over tags and text; ``name`` is the function's once ``read`` has returned."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[str] = []
        self._parameters: list[tuple[str, list[str]]] = []
        self.name = ""

    def read(self) -> list[tuple[str, str]]:
        """Return the parameters of the function."""
        position = 0
        for match in _TAG.finditer(self._text):
            self._add_text(position, match.start())
            position = match.end()
            if match[3]:
                self._close(match[3], position)
                if not self._open:
                    return [(key, normal_lines("".join(parts))) for key, parts in self._parameters]
            elif match[1] in _ELEMENTS:
                self._begin(match[1], match[2])
            elif len(self._open) == 2 and self._parameters:
                self._parameters[-1][1].append(f'<{match[1]} name="{_escaped(match[2])}">')
        self._add_text(position, len(self._text))
        raise self._error("unexpected EOF", len(self._text)) if self._open else ValueError("EOF")

    def _begin(self, element: str, name: str) -> None:
        if not self._open:
            if element != "function":
                raise ValueError(f"expected element type <function> but have <{element}>")
            self.name = name
        elif self._open == ["function"] and element == "parameter":
            self._parameters.append((name, []))
        self._open.append(element)

    def _close(self, element: str, position: int) -> None:
        if not self._open:
            raise self._error(f"unexpected end element </{element}>", position)
        if self._open[-1] != element:
            raise self._error(f"element <{self._open[-1]}> closed by </{element}>", position)
        self._open.pop()

    def _add_text(self, start: int, end: int) -> None:
        check_characters(self._text, start, end)
        if self._open == list(_ELEMENTS):
            self._parameters[-1][1].append(self._text[start:end])

    def _error(self, message: str, position: int) -> ValueError:
        return syntax_error(self._text, position, message)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
