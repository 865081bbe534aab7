"""Forms of a call that several families share."""

from __future__ import annotations

from collections.abc import Callable

from pollama.prompts.renderers.values import argument_values
from pollama.types.json import Json
from pollama.types.messages import ToolCall


def tagged_call(call: ToolCall, to_json: Callable[[Json], str], gap: str = "") -> str:
    """Return ``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>``, strings unquoted.

    ``gap`` stands between the parts.
    """
    arguments = ""
    for name, value in argument_values(call.arguments).items():
        text = value if isinstance(value, str) else to_json(value)
        arguments += f"<arg_key>{name}</arg_key>{gap}<arg_value>{text}</arg_value>{gap}"
    return f"<tool_call>{call.name}{gap}{arguments}</tool_call>"


def keyword_call(call: ToolCall, to_json: Callable[[Json], str], separator: str) -> str:
    """Return ``NAME(KEY=VALUE,...)``, arguments sorted by name."""
    arguments = argument_values(call.arguments)
    return f"{call.name}({separator.join(f'{name}={to_json(arguments[name])}' for name in sorted(arguments))})"
