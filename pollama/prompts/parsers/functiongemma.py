"""FunctionGemma.

    text <start_function_call>call:NAME{KEY:VALUE,...}<end_function_call> text ...

A VALUE is a text between two ``<escape>``, a number, true, false, an object, a list or bare text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserFamily
from pollama.prompts.parsers.blocks import CallBlocks, Spacing
from pollama.prompts.parsers.typed import parse_number
from pollama.types.generation import CallFormat
from pollama.types.gojson import sorted_maps
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_CALL: Final = "<start_function_call>"
_CALL_END: Final = "<end_function_call>"
_ESCAPE: Final = "<escape>"
_FORM: Final = re.compile(r"call:([^{]+)\{(.*)\}")
_PIECES: Final = re.compile(r"<escape>|[{}\[\],]")
_LEADING_NUMBER: Final = re.compile(
    r"[ \t]*([+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eEpP][+-]?[0-9_]*)?))"
)


def _read_call(text: str) -> list[ToolCall]:
    """Return a call; what has not the form of one is a call without a name."""
    found = _FORM.search(text)
    if not found:
        return [ToolCall(name="", arguments={})]
    return [ToolCall(name=found[1], arguments={key: sorted_maps(value) for key, value in _pairs(found[2])})]


def _pairs(text: str) -> Iterator[tuple[str, Json]]:
    for part in _split(text):
        key, colon, value = part.partition(":")
        if colon:
            yield key, _value(value)


def _value(text: str) -> Json:
    if len(text) >= 2 * len(_ESCAPE) and text.startswith(_ESCAPE) and text.endswith(_ESCAPE):
        return text[len(_ESCAPE) : -len(_ESCAPE)]
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("{") and text.endswith("}"):
        return dict(_pairs(text[1:-1]))
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in _split(text[1:-1])] or None
    number = _leading_number(text)
    return text if number is None else number


def _leading_number(text: str) -> int | float | None:
    found = _LEADING_NUMBER.match(text)
    return parse_number(found[1]) if found else None


def _split(text: str) -> list[str]:
    """Return the parts between commas outside of brackets and escapes; no parts where there is no text."""
    cuts = []
    depth = 0
    escaped = False
    for match in _PIECES.finditer(text):
        piece = match.group()
        if piece == _ESCAPE:
            escaped = not escaped
        elif not escaped and piece == "," and not depth:
            cuts.append(match.start())
        elif not escaped and piece != ",":
            depth += 1 if piece in "{[" else -1
    starts = [0, *(cut + 1 for cut in cuts)]
    return [text[start:end] for start, end in zip(starts, [*cuts, len(text)], strict=True)] if text else []


def _make(_context: ParserContext) -> OutputParser:
    return CallBlocks(_CALL, _CALL_END, _read_call, spacing=Spacing.KEPT)


FAMILY: Final = ParserFamily(
    make=_make,
    tools=True,
    thinking=False,
    preserved=(_CALL, _CALL_END),
    calls=CallFormat(tag=_CALL, before=("call:",), between=("{",), json=False),
)
