"""Models without a format: everything is content."""

from __future__ import annotations

from typing import Final

from pollama.prompts.parsers.base import Output, OutputParser, ParserContext, ParserFamily


class Passthrough:
    """Hands on what it is given."""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part."""
        return Output(content=text)


def _make(_context: ParserContext) -> OutputParser:
    return Passthrough()


FAMILY: Final = ParserFamily(make=_make, tools=False, thinking=False)
