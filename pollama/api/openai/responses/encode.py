"""The response object of /v1/responses."""

from __future__ import annotations

from typing import Any, Final

from pollama.api.openai.encode import new_id
from pollama.types import gojson
from pollama.types.events import Done, Piece
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_IDS: Final = 999_999


def new_number_id(prefix: str) -> str:
    """Return an identifier: ``prefix`` and up to six digits."""
    return new_id(prefix, _IDS)


def response_object(
    fields: dict[str, Any], *, identity: str, created_at: int, output: Json, done: Done | None, completed_at: int | None
) -> dict[str, Json]:
    """Return the object in its order of fields; ``completed_at`` None = in progress, without usage."""
    return {
        "id": identity,
        "object": "response",
        "created_at": created_at,
        "completed_at": completed_at,
        "status": "in_progress" if completed_at is None else "completed",
        "incomplete_details": None,
        "model": fields.get("model", ""),
        "previous_response_id": fields.get("previous_response_id") or None,
        "instructions": fields.get("instructions") or None,
        "output": output,
        "error": None,
        "tools": [_tool(tool) for tool in fields.get("tools", ())],
        "tool_choice": fields.get("tool_choice") or "auto",
        "truncation": fields.get("truncation", "disabled"),
        "parallel_tool_calls": True,
        "text": {"format": _text_format(fields.get("text", {}).get("format", {}))},
        "top_p": fields.get("top_p", 1),
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": fields.get("temperature", 1),
        "reasoning": _reasoning(fields.get("reasoning", {})),
        "usage": None if completed_at is None else usage(done),
        "max_output_tokens": fields.get("max_output_tokens"),
        "max_tool_calls": None,
        "store": False,
        "background": fields.get("background", False),
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


def usage(done: Done | None) -> dict[str, Json]:
    """Return the token counts of an answer."""
    prompt, generated = (done.prompt_tokens, done.generated_tokens) if done else (0, 0)
    return {
        "input_tokens": prompt,
        "output_tokens": generated,
        "total_tokens": prompt + generated,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def output_items(piece: Piece, identity: str) -> list[Json]:
    """Return the output of a whole answer: reasoning, then either calls or a message."""
    items = [reasoning_item(f"rs_{identity}", piece.thinking)] if piece.thinking else []
    if piece.tool_calls:
        calls = enumerate(piece.tool_calls)
        return [*items, *(call_item(f"fc_{identity}_{index}", call, "completed") for index, call in calls)]
    return [*items, message_item(new_number_id("msg_"), piece.content)]


def reasoning_item(identity: str, text: str) -> dict[str, Json]:
    """Return a finished reasoning item."""
    summary = [{"type": "summary_text", "text": text}]
    return {"id": identity, "type": "reasoning", "summary": summary, "encrypted_content": text}


def call_item(identity: str, call: ToolCall, status: str) -> dict[str, Json]:
    """Return a function call; one in progress has no arguments yet."""
    return {
        "id": identity,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call_arguments(call) if status == "completed" else "",
    }


def call_arguments(call: ToolCall) -> str:
    """Return the arguments of a call as JSON text."""
    return gojson.dumps(call.arguments or {})


def message_item(identity: str, text: str) -> dict[str, Json]:
    """Return a finished message."""
    return {
        "id": identity,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text_part(text)],
    }


def text_part(text: str) -> dict[str, Json]:
    """Return a part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _tool(tool: dict[str, Any]) -> dict[str, Json]:
    shown = {"type": tool.get("type", ""), "name": tool.get("name", "")}
    optional = {name: tool.get(name) for name in ("description", "strict", "parameters")}
    members = {"tools": [_tool(member) for member in tool["tools"]]} if tool.get("tools") else {}
    return {**shown, **optional, **members}


def _text_format(given: dict[str, Any]) -> dict[str, Json]:
    shown = {name: given[name] for name in ("type", "name", "schema", "strict") if given.get(name) is not None}
    return shown if shown.get("type") else {"type": "text"}


def _reasoning(given: dict[str, Any]) -> dict[str, Json] | None:
    return {name: given[name] for name in ("effort", "summary") if given.get(name)} or None
