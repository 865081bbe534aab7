"""Calls written as one JSON object: ``{"name": NAME, "arguments": {...}}``."""

from __future__ import annotations

from pollama.prompts.parsers.arguments import as_arguments, parse_json
from pollama.types.generation import CallFormat
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_BRACKETS = ("{", "[")
"""Tags that also occur in prose."""
_KINDS = {bool: "bool", str: "string", int: "number", float: "number", list: "array"}


def json_call_format(tag: str, closing: str = "") -> CallFormat:
    """Return the format of calls that are JSON objects: one between two tags, or any number behind one tag."""
    before = "[␣" if tag == "[" else "␣" if closing else ""
    return CallFormat(
        tag="" if tag in _BRACKETS else tag,
        before=(before + '{␣"name"␣:␣"',),
        between=('"␣,␣"arguments"␣:␣', '"␣,␣"parameters"␣:␣'),
        behind=f"}}␣{closing}" if closing else "}",
        listed=not closing,
    )


def read_json_call(text: str) -> ToolCall:
    """Return a call; the keys are found in any case. Raises ValueError in the words of Go."""
    value = parse_json(text)
    if value is None:
        return ToolCall(name="", arguments={})
    if not isinstance(value, dict):
        raise ValueError(f"json: cannot unmarshal {_KINDS[type(value)]} into Go value of type api.ToolCallFunction")
    fields = {key.lower(): item for key, item in value.items()}
    name = fields.get("name")
    if name is not None and not isinstance(name, str):
        raise ValueError(
            f"json: cannot unmarshal {_kind(name)} into Go struct field ToolCallFunction.name of type string"
        )
    return ToolCall(name=name or "", arguments=as_arguments(fields.get("arguments", {})))


def _kind(value: Json) -> str:
    return _KINDS.get(type(value), "object")
