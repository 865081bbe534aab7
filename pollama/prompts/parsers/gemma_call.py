"""The call format of Gemma 4: JSON with other quotes and bare keys.

    call:NAME{KEY:<|"|>TEXT<|"|>,KEY:5,KEY:{...},KEY:[...]}

Common slips are put right: a text that is not closed, single quotes, and texts without any quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pollama.prompts.parsers.arguments import as_arguments, load_json
from pollama.prompts.spaces import trim
from pollama.types.gojson import quote
from pollama.types.json import Json
from pollama.types.messages import Tool, ToolCall

_PREFIX: Final = "call:"
_QUOTE: Final = '<|"|>'
_TOKENS: Final = re.compile(
    r'<\|"\|>(?P<text>.*?)<\|"\|>|"(?:[^"\\]|\\.)*"|(?P<before>[{,]\s*)(?P<key>\w+)(?=\s*:)', re.DOTALL
)
_SINGLE_QUOTED: Final = re.compile(r":\s*'((?:[^'\\]|\\.)*)'(?=\s*[,}\]])", re.DOTALL)


def parse_gemma_call(text: str, tools: Sequence[Tool]) -> ToolCall:
    """Return the call. Raises ValueError where it cannot be read."""
    head, brace, body = trim(text).partition("{")
    if not (brace and head.startswith(_PREFIX)):
        raise ValueError("no call")
    name = trim(head.removeprefix(_PREFIX))
    for source in _readings(brace + body, _text_parameters(tools, name)):
        try:
            return ToolCall(name=name, arguments=as_arguments(_parse(source)))
        except ValueError:
            continue
    raise ValueError("the arguments cannot be read")


def _readings(source: str, text_parameters: Sequence[str]) -> Iterator[str]:
    """Yield the arguments as they stand, and after one repair more each."""
    yield source
    source = _closed(source)
    yield source
    source = _SINGLE_QUOTED.sub(lambda match: f":{_QUOTE}{match[1]}{_QUOTE}", source)
    yield source
    yield _quoted(source, text_parameters)


def _parse(source: str) -> Json:
    return load_json(_TOKENS.sub(_as_json, source))


def _as_json(token: re.Match[str]) -> str:
    if token["key"]:
        return f'{token["before"]}"{token["key"]}"'
    return token.group() if token["text"] is None else quote(token["text"])


def _closed(source: str) -> str:
    """Return the arguments with the last text closed, where its end is missing."""
    if source.count(_QUOTE) % 2 == 0:
        return source
    body = source.rstrip("}")
    return f"{body}{_QUOTE}{source[len(body) :] or '}'}"


def _quoted(source: str, parameters: Sequence[str]) -> str:
    """Return the arguments with quotes around texts that have none; such a text ends where a parameter follows."""
    if not parameters:
        return source
    names = "|".join(map(re.escape, parameters))
    bare = re.compile(
        rf"(?P<head>[{{,]\s*(?:{names})\s*:\s*)(?P<text>[^\s\"'<\[{{0-9-].*?)(?=\s*(?:,\s*\w+\s*:|\}}\s*\Z))", re.DOTALL
    )
    return bare.sub(lambda match: f"{match['head']}{_QUOTE}{match['text']}{_QUOTE}", source)


def _text_parameters(tools: Sequence[Tool], name: str) -> list[str]:
    tool = next((tool for tool in tools if tool.name == name), None)
    properties = (tool.parameters.properties or {}) if tool else {}
    return [key for key, value in properties.items() if "string" in value.type]
