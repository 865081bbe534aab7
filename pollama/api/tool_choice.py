"""``tool_choice`` of the dialects: whether an answer may, must or must not call tools, and which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pollama.api.web_search import WEB_SEARCH
from pollama.errors import BadRequestError
from pollama.types import gojson
from pollama.types.json import Json
from pollama.types.messages import Tool
from pollama.types.requests import ToolChoice

_WORDS: Final = {
    "none": ToolChoice(mode="none"),
    "auto": ToolChoice(),
    "required": ToolChoice(mode="required"),
    "any": ToolChoice(mode="required"),
}
_OPENAI_WORDS: Final = ("none", "auto", "required")
_ANTHROPIC_WORDS: Final = ("none", "auto", "any")


def openai_choice(value: Json, tools: Sequence[Tool]) -> tuple[ToolChoice, list[Tool]]:
    """Return what OpenAI's ``tool_choice`` means, and the tools that it leaves to the model. Raises BadRequestError."""
    if value is None:
        return ToolChoice(), list(tools)
    if isinstance(value, str) and value in _OPENAI_WORDS:
        return _WORDS[value], list(tools)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "allowed_tools":
        return _allowed(_part(value, "allowed_tools"), tools)
    if kind == "function":
        return ToolChoice(mode="required", name=_name(value)), list(tools)
    if isinstance(kind, str) and kind.startswith(WEB_SEARCH):
        return ToolChoice(mode="required", name=WEB_SEARCH), list(tools)
    raise _invalid(value, '"none", "auto", "required", or an object of type "function" or "allowed_tools"')


def anthropic_choice(fields: dict[str, Any]) -> ToolChoice:
    """Return what Anthropic's ``tool_choice`` means. Raises BadRequestError."""
    kind = fields.get("type", "")
    if not fields:
        return ToolChoice()
    if kind in _ANTHROPIC_WORDS:
        return _WORDS[kind]
    if kind == "tool" and fields.get("name"):
        return ToolChoice(mode="required", name=fields["name"])
    raise _invalid(fields, 'of type "auto", "any", "none", or "tool" with a "name"')


def _allowed(value: dict[str, Any], tools: Sequence[Tool]) -> tuple[ToolChoice, list[Tool]]:
    mode, entries = value.get("mode", "auto"), value.get("tools")
    if mode not in ("auto", "required") or not isinstance(entries, list):
        raise _invalid(value, 'with "mode" "auto" or "required" and a list of "tools"')
    names = {_name(entry) for entry in entries}
    _check_known(names, tools)
    return _WORDS[mode], [tool for tool in tools if tool.name in names]


def _check_known(names: Iterable[str], tools: Sequence[Tool]) -> None:
    unknown = sorted(set(names) - {tool.name for tool in tools})
    if unknown:
        raise BadRequestError(f"tool_choice names {gojson.dumps(unknown[0])}, which is none of the request's tools")


def _name(value: Json) -> str:
    """Return the name of a function, which one dialect nests and the other does not."""
    name = _part(value, "function").get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name:
        raise _invalid(value, 'with the "name" of a function')
    return name


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else value


def _invalid(value: Json, expected: str) -> BadRequestError:
    return BadRequestError(f"invalid tool_choice: {gojson.dumps(value)} (must be {expected})")
