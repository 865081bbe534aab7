"""Elements in text that is no XML otherwise, with errors in the words of Go's XML decoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Element:
    """An element with its own text and its children."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def texts(self, name: str) -> list[str]:
        """Return the texts of the children of a name."""
        return [child.text for child in self.children if child.name == name]


def read_element(root: str, inner: str, names: Sequence[str]) -> Element:
    """Return the element ``root`` around ``inner``, where only tags of ``names`` are markup. Raises ValueError."""
    tag = re.compile(f"<(/?)({'|'.join(map(re.escape, names))})>")
    open_elements = [Element(root)]
    position = 0
    for match in tag.finditer(inner):
        _add_text(open_elements[-1], inner, position, match.start())
        position = match.end()
        if match[1]:
            _close(open_elements, match[2], inner, position)
        else:
            child = Element(match[2])
            open_elements[-1].children.append(child)
            open_elements.append(child)
    _add_text(open_elements[-1], inner, position, len(inner))
    element = open_elements[0]
    _close(open_elements, root, inner, len(inner))
    return element


def syntax_error(text: str, position: int, message: str) -> ValueError:
    """Return the error of a place in ``text``."""
    line = text.count("\n", 0, position) + 1
    return ValueError(f"XML syntax error on line {line}: {message}")


def check_characters(text: str, start: int, end: int) -> None:
    """Raise ValueError for a character that XML does not allow."""
    illegal = _ILLEGAL.search(text, start, end)
    if illegal:
        raise syntax_error(text, illegal.start(), f"illegal character code U+{ord(illegal.group()):04X}")


def normal_lines(text: str) -> str:
    """Return text with the line ends that XML knows."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _add_text(element: Element, text: str, start: int, end: int) -> None:
    check_characters(text, start, end)
    element.text += normal_lines(text[start:end])


def _close(open_elements: list[Element], name: str, text: str, position: int) -> None:
    current = open_elements.pop()
    if current.name != name:
        raise syntax_error(text, position, f"element <{current.name}> closed by </{name}>")
