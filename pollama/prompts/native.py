"""Prompts from the Jinja template in a model's own GGUF file, with what llama-server does around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pollama.errors import BadRequestError, TemplateError
from pollama.prompts.jinja import render_jinja
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Think, Tool

CHATML: Final = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""The format of a model that has no template at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTexts:
    """Texts of the tokens that templates write themselves."""

    bos: str = ""
    eos: str = ""


def render_native(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    think: Think,
    special: SpecialTexts,
) -> str:
    """Return the prompt. An assistant message at the end is left open, for the model to go on with.

    Raises TemplateError, or BadRequestError where two assistant messages end the conversation.
    """
    prefill = ""
    if messages and messages[-1].role == "assistant":
        prefill, messages = messages[-1].content, messages[:-1]
        if messages and messages[-1].role == "assistant":
            raise BadRequestError("Cannot have 2 or more assistant messages at the end of the list.")
    values = _values(tools, think, special)
    turns = [_turn(message) for message in messages]
    return _render(template or CHATML, turns, values) + prefill


def _render(template: str, turns: list[dict[str, Any]], values: dict[str, Any]) -> str:
    """Render; a template that refuses a system turn gets its text inside the first user turn instead."""
    try:
        return render_jinja(template, {**values, "messages": turns})
    except TemplateError:
        if len(turns) < 2 or turns[0]["role"] != "system":
            raise
        merged = {**turns[1], "content": f"{turns[0]['content']}\n{turns[1]['content']}"}
        return render_jinja(template, {**values, "messages": [merged, *turns[2:]]})


def _values(tools: Sequence[Tool], think: Think, special: SpecialTexts) -> dict[str, Any]:
    effort = {"reasoning_effort": think} if isinstance(think, str) else {}
    return {
        "tools": [tool_json(tool) for tool in tools] or None,
        "add_generation_prompt": True,
        "enable_thinking": True if think is None else bool(think),
        "bos_token": special.bos,
        "eos_token": special.eos,
        **effort,
    }


def _turn(message: Message) -> dict[str, Any]:
    """Return a message in OpenAI's shape; earlier thinking is not shown to the model."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": call.arguments or {}},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_name:
        turn["name"] = message.tool_name
    return turn
