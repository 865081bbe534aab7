"""OLMo 3 and 3.1 instruct, OLMo 3 Think.

Wire format: ``<|im_start|>ROLE\\nCONTENT<|im_end|>\\n`` per turn, one system turn first. Instruct models get their
tools within ``<functions>`` after the system text, call them with
``<function_calls>NAME(KEY=VALUE, ...)</function_calls>``, one call a line, and read results in turns of the role
``environment``. Think models know no tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from pollama.prompts.renderers.base import RenderContext, RendererFamily
from pollama.prompts.renderers.calls import keyword_call
from pollama.prompts.renderers.chatml import ANSWER, END, turn
from pollama.prompts.renderers.values import compact_json, spaced_json
from pollama.prompts.tool_json import tool_json
from pollama.types.messages import Message, Tool, ToolCall

_FUNCTION_CALLING: Final = "You are a helpful function-calling AI assistant."
_OLMO: Final = (
    "You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, and your model weights are "
    "available at https://huggingface.co/allenai."
)
_HELPFUL: Final = "You are a helpful AI assistant."
_NO_FUNCTIONS: Final = " You do not currently have access to any functions. <functions></functions>"
_FUNCTIONS: Final = (
    " You are provided with function signatures within <functions></functions> XML tags. You may call one or more "
    "functions to assist with the user query. Output any function calls within <function_calls></function_calls> XML "
    "tags. Do not make assumptions about what values to plug into functions."
)


def _render_instruct(context: RenderContext, *, identity: str) -> str:
    messages = context.messages
    system = _first_system(messages)
    if system is None:
        system = identity + (_FUNCTIONS if context.tools else _NO_FUNCTIONS)
    text = turn("system", system + (_functions(context.tools) if context.tools else ""))
    turns = [message for message in messages if message.role != "system"]
    last = turns[-1] if turns else Message(role="")
    open_ended = last.role == "assistant" and not last.tool_calls
    text += "".join(map(_instruct_turn, turns))
    if open_ended:
        text = text.removesuffix(END)
    return text if open_ended and last.content else text + ANSWER


def _render_think(context: RenderContext, *, identity: str) -> str:
    system = _first_system(context.messages)
    text = turn("system", identity if system is None else system + _NO_FUNCTIONS)
    turns = [message for message in context.messages if message.role in ("user", "assistant")]
    return text + "".join(turn(message.role, message.content) for message in turns) + f"{ANSWER}<think>"


def _first_system(messages: Sequence[Message]) -> str | None:
    return next((message.content for message in messages if message.role == "system"), None)


def _instruct_turn(message: Message) -> str:
    if message.role == "tool":
        return turn("environment", message.content)
    if message.role == "user":
        return turn("user", message.content)
    if message.role != "assistant":
        return ""
    calls = "\n".join(map(_call, message.tool_calls))
    calls = f"<function_calls>{calls}</function_calls>" if calls else ""
    return turn("assistant", message.content + calls)


def _call(call: ToolCall) -> str:
    return keyword_call(call, compact_json, ", ")


def _functions(tools: Sequence[Tool]) -> str:
    return f"<functions>{spaced_json([tool_json(tool) for tool in tools])}</functions>"


OLMO_3: Final = RendererFamily(render=partial(_render_instruct, identity=_FUNCTION_CALLING))
OLMO_3_1: Final = RendererFamily(render=partial(_render_instruct, identity=_OLMO))
OLMO_3_THINK: Final = RendererFamily(render=partial(_render_think, identity=_OLMO))
OLMO_3_32B_THINK: Final = RendererFamily(render=partial(_render_think, identity=_HELPFUL))
