"""The call formats of Laguna and Poolside.

NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...
NAME{"KEY": VALUE, ...}
{"name": NAME, "arguments": {...}}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pollama.prompts.parsers.arguments import parse_arguments
from pollama.prompts.parsers.json_calls import read_json_call
from pollama.prompts.parsers.typed import declared_property, typed_value
from pollama.prompts.spaces import trim
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_CALL: Final = "<tool_call>"
_KEY: Final = "<arg_key>"
_PAIR: Final = re.compile(r"<arg_key>(.*?)</arg_key>[\t\n\f\r ]*<arg_value>(.*?)</arg_value>", re.DOTALL)
_ALIASES: Final = {"read_file": "read"}
"""Names that the models use for tools of their own training -> the usual names."""


def parse_laguna_call(text: str, tools: Sequence[Tool]) -> ToolCall:
    """Return a call in any of the formats. Raises ValueError."""
    text = trim(text)
    while text.startswith(_CALL):
        text = trim(text.removeprefix(_CALL))
    if text.startswith("{"):
        return parse_laguna_json(text)
    head = text.partition(_CALL)[0]
    name, brace, arguments = head.partition("{")
    if brace and _KEY not in name:
        return _with_json(_canonical(trim(name)), brace + arguments)
    return _with_pairs(_canonical(trim(head.partition(_KEY)[0])), head, tools)


def parse_laguna_json(text: str) -> ToolCall:
    """Return a call that is one JSON object. Raises ValueError."""
    try:
        call = read_json_call(text)
    except ValueError as error:
        raise ValueError(f"failed to parse Laguna JSON tool call: {error}") from None
    if not call.name:
        raise ValueError("empty Laguna tool call name")
    call.name = _canonical(call.name)
    return call


def has_arguments(text: str) -> bool:
    """Tell whether a text holds arguments between tags."""
    return _KEY in text


def _with_json(name: str, text: str) -> ToolCall:
    try:
        return ToolCall(name=name, arguments=parse_arguments(text))
    except ValueError as error:
        raise ValueError(f"failed to parse Laguna JSON tool call arguments: {error}") from None


def _with_pairs(name: str, text: str, tools: Sequence[Tool]) -> ToolCall:
    arguments: dict[str, Json] = {}
    for key, value in _PAIR.findall(text):
        arguments[trim(key)] = typed_value(value, declared_property(tools, name, trim(key)))
    return ToolCall(name=name, arguments=arguments)


def _canonical(name: str) -> str:
    return _ALIASES.get(name, name)
