"""The call format of Glimmer.

    <atem:function_calls>
    <atem:invoke name="NAME">
    <atem:parameter name="KEY">VALUE</atem:parameter>
    </atem:invoke>
    </atem:function_calls>

A model may put ``<|message|>`` into the tag of the invocation, or in place of its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pollama.prompts.parsers.typed import declared_property, typed_value
from pollama.prompts.spaces import GO_SPACES, trim
from pollama.types.goquote import go_quote
from pollama.types.messages import Tool, ToolCall

CALLS: Final = "<atem:function_calls>"
CALLS_END: Final = "</atem:function_calls>"
_INVOKE: Final = re.compile(r'<atem:invoke name="([^"<]*)(?:<\|message\|>)?(?:">|(?<=<\|message\|>))')
_INVOKE_END: Final = "</atem:invoke>"
_PARAMETER: Final = re.compile(r'<atem:parameter name="([^"]*)">')
_PARAMETER_END: Final = "</atem:parameter>"


def parse_atem_call(text: str, tools: Sequence[Tool]) -> ToolCall:
    """Return the call of a text. Raises ValueError for anything but one call."""
    text = trim(text)
    if not (text.startswith(CALLS) and text.endswith(CALLS_END)):
        raise ValueError("missing ATEM function_calls wrapper")
    text = trim(text[len(CALLS) : -len(CALLS_END)])
    invoke = _INVOKE.match(text)
    if not (invoke and text.endswith(_INVOKE_END)):
        raise ValueError("missing ATEM invoke wrapper")
    name = invoke[1]
    arguments = {
        key: typed_value(value, declared_property(tools, name, key))
        for key, value in _parameters(text[invoke.end() : -len(_INVOKE_END)])
    }
    return ToolCall(name=name, arguments=arguments)


def _parameters(text: str) -> list[tuple[str, str]]:
    parameters = []
    while text := text.lstrip(GO_SPACES):
        opening = _PARAMETER.match(text)
        if not opening:
            raise ValueError("malformed ATEM parameter")
        value, closed, text = text[opening.end() :].partition(_PARAMETER_END)
        if not closed:
            raise ValueError(f"unterminated ATEM parameter {go_quote(opening[1])}")
        parameters.append((opening[1], value))
    return parameters
