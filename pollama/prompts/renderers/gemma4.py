"""Gemma 4, small and large.

Wire format: BOS, then ``<|turn>ROLE\\nCONTENT<turn|>\\n`` per turn, contents trimmed, the assistant called ``model``.
The system turn has ``<|think|>`` where the model shall think, the leading system or developer message and the
declarations of the tools. A model turn holds thoughts (``<|channel>thought\\n...\\n<channel|>``, only after the last
question), calls, results and content in this order; the next assistant message continues the turn. Strings stand
between two ``<|"|>``. A large model that shall not think gets an empty thought.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.gemma_values import gemma_members, gemma_value
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.queries import last_of_role
from pollama.prompts.spaces import trim
from pollama.prompts.tool_json import property_json
from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolCall

_BOS: Final = "<bos>"
_START: Final = "<|turn>"
_END: Final = "<turn|>\n"
_QUOTE: Final = '<|"|>'
_NULL: Final = "null"
_THOUGHT: Final = "<|channel>thought\n"
_THOUGHT_END: Final = "<channel|>"


def _render(context: RenderContext, *, large: bool) -> str:
    messages, thinks = context.messages, bool(context.think)
    leads = bool(messages) and messages[0].role in ("system", "developer")
    text = _BOS
    if leads or context.tools or thinks:
        text += _system_turn(trim(messages[0].content) if leads else "", context.tools, thinks=thinks)
    turns = [index for index, message in enumerate(messages) if message.role != "tool" and (index or not leads)]
    conversation = _Conversation(context, turns)
    text += "".join(conversation.turn(place) for place in range(len(turns)))
    if turns and messages[turns[-1]].tool_calls:
        return text + (_THOUGHT if thinks and conversation.is_open else "")
    return f"{text}{_START}model\n" + ("" if thinks or not large else _THOUGHT + _THOUGHT_END)


class _Conversation:
    """The turns of a conversation; ``turns`` are the indices of the messages that are no tool results."""

    def __init__(self, context: RenderContext, turns: Sequence[int]) -> None:
        self._messages = context.messages
        self._turns = turns
        self._images = ImageWriter(context, "")
        self._last_user = last_of_role(context.messages, "user")

    @property
    def is_open(self) -> bool:
        """Whether the last turn ends with the results of its calls."""
        last = self._turns[-1]
        return bool(self._results(last)) and not trim(self._images.content(last, self._messages[last]))

    def turn(self, place: int) -> str:
        """Return the turn, or the part of a model turn, that the message at ``turns[place]`` makes."""
        index = self._turns[place]
        message = self._messages[index]
        content = trim(self._images.content(index, message))
        if message.role != "assistant":
            return f"{_START}{message.role}\n{content}{_END}"
        continues = place > 0 and self._role(place - 1) == "assistant"
        results = "".join(self._results(index))
        body = self._thoughts(index) + "".join(map(_call, message.tool_calls)) + results + content
        return ("" if continues else f"{_START}model\n") + body + self._ending(place, bool(results), bool(content))

    def _ending(self, place: int, has_results: bool, has_content: bool) -> str:
        if place + 1 < len(self._turns):
            return "" if self._role(place + 1) == "assistant" else _END
        if self._messages[self._turns[place]].tool_calls and not has_results:
            return "<|tool_response>"
        return _END if has_content or not has_results else ""

    def _role(self, place: int) -> str:
        return self._messages[self._turns[place]].role

    def _thoughts(self, index: int) -> str:
        thinking = self._messages[index].thinking
        return f"{_THOUGHT}{thinking}\n{_THOUGHT_END}" if thinking and index > self._last_user else ""

    def _results(self, index: int) -> list[str]:
        """Return the results that answer the calls of a message: the tool messages right after it."""
        calls = self._messages[index].tool_calls
        results = []
        for place in range(index + 1, len(self._messages) if calls else 0):
            message = self._messages[place]
            if message.role != "tool":
                break
            value = gemma_value(self._images.content(place, message), _QUOTE, _NULL)
            name = _answered_name(message, calls)
            results.append(f"<|tool_response>response:{name}{{value:{value}}}<tool_response|>")
        return results


def _answered_name(message: Message, calls: Sequence[ToolCall]) -> str:
    names = (call.name for call in calls if call.id and call.id == message.tool_call_id)
    return next(names, message.tool_name or "unknown")


def _call(call: ToolCall) -> str:
    return f"<|tool_call>call:{call.name}{{{gemma_members(call.arguments or {}, _QUOTE, _NULL)}}}<tool_call|>"


def _system_turn(system: str, tools: Sequence[Tool], *, thinks: bool) -> str:
    think = "<|think|>\n" if thinks else ""
    return f"{_START}system\n{think}{system}{''.join(map(_declaration, tools))}{_END}"


def _declaration(tool: Tool) -> str:
    parameters = tool.parameters
    properties = {name: property_json(item) for name, item in (parameters.properties or {}).items()}
    parts = _object_parts(properties, parameters.required) + _type_part(parameters.type)
    schema = f",parameters:{{{','.join(parts)}}}" if parts else ""
    return f"<|tool>declaration:{tool.name}{{description:{_quoted(tool.description)}{schema}}}<tool|>"


def _object_parts(properties: dict[str, Json] | None, required: Sequence[str] | None) -> list[str]:
    parts = []
    if properties:
        members = ",".join(f"{name}:{{{_schema(properties[name])}}}" for name in sorted(properties))
        parts.append(f"properties:{{{members}}}")
    if required:
        parts.append(f"required:[{','.join(map(_quoted, required))}]")
    return parts


def _schema(item: dict[str, Json]) -> str:
    """Return the members of a parameter's schema; what its type does not use is left out."""
    types = item.get("type") or [alternative.get("type") for alternative in item.get("anyOf", [])]
    parts = [f"description:{_quoted(item['description'])}"] if item.get("description") else []
    if types == "string" and item.get("enum"):
        parts.append(f"enum:{gemma_value(item['enum'], _QUOTE, _NULL)}")
    if types == "array" and isinstance(item.get("items"), dict):
        parts.append(f"items:{{{_items(item['items'])}}}")
    if types == "object":
        parts += _object_parts(item.get("properties"), item.get("required"))
    return ",".join(parts + _type_part(types))


def _items(items: dict[str, Json]) -> str:
    """Return the members of the schema of an array's items, all of them."""
    parts = []
    for key in sorted(items):
        value = items[key]
        if key == "properties" and isinstance(value, dict):
            parts += _object_parts(value, None)
        elif key == "type":
            parts += _type_part(value)
        elif value is not None:
            parts.append(f"{key}:{gemma_value(value, _QUOTE, _NULL)}")
    return ",".join(parts)


def _type_part(types: str | Sequence[str]) -> list[str]:
    """Return the type in capitals; several types as a list in Python's form."""
    if not types:
        return []
    text = types.upper() if isinstance(types, str) else str([name.upper() for name in types])
    return [f"type:{_quoted(text)}"]


def _quoted(text: str) -> str:
    return _QUOTE + text + _QUOTE


GEMMA_4_SMALL: Final = RendererFamily(render=partial(_render, large=False), leading_bos=_BOS)
GEMMA_4_LARGE: Final = RendererFamily(render=partial(_render, large=True), leading_bos=_BOS)
