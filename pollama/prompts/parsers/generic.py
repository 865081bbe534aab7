"""Parsers made of other parsers."""

from __future__ import annotations

from collections.abc import Callable

from pollama.prompts.parsers.base import Output, OutputParser


class Stages:
    """A thinking parser whose content goes through a tool parser."""

    def __init__(self, thinking: OutputParser, tools: OutputParser) -> None:
        self._thinking = thinking
        self._tools = tools

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part through both."""
        first = self._thinking.feed(text, done=done)
        output = Output(thinking=first.thinking)
        if first.content or done:
            output.add(self._tools.feed(first.content, done=done))
        return output


class Identified:
    """Gives every call of another parser an id of its own."""

    def __init__(self, parser: OutputParser, new_id: Callable[[], str]) -> None:
        self._parser = parser
        self._new_id = new_id

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part."""
        output = self._parser.feed(text, done=done)
        for call in output.tool_calls:
            call.id = self._new_id()
        return output
