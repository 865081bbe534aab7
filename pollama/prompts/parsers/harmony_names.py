"""Tool names that the gpt-oss format can carry, and the way back to the names that the client knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pollama.types.messages import Tool

_BUILT_IN: Final = frozenset(("browser.open", "browser.search", "browser.find", "python"))
_UNDERSCORED: Final = frozenset(" -.")


class ToolNames:
    """Two-way mapping of names. Names are added in the order of the request."""

    def __init__(self) -> None:
        self._originals: dict[str, str] = {}

    def add(self, name: str) -> str:
        """Take a client's name and return the one for the prompt."""
        converted = self._unique(name if name in _BUILT_IN else _identifier(name))
        self._originals[converted] = name
        return converted

    def original(self, converted: str) -> str:
        """Return the client's name of what the model wrote; unknown names stay as they are."""
        return self._originals.get(converted, converted)

    def _unique(self, name: str) -> str:
        candidate, count = name, 2
        while candidate in self._originals:
            candidate = f"{name}_{count}"
            count += 1
        return candidate


def renamed_tools(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools under the names for the prompt."""
    names = ToolNames()
    return [replace(tool, name=names.add(tool.name)) for tool in tools]


def _identifier(name: str) -> str:
    underscored = ("_" if character in _UNDERSCORED else character for character in name)
    kept = "".join(c for c in underscored if c in "_$" or c.isalpha() or c.isdecimal()) or "unnamed"
    return f"_{kept}" if kept[0].isdecimal() else kept
