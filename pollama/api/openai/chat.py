"""POST /v1/chat/completions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from pollama.api.generation import translated
from pollama.api.godecode import decode_body
from pollama.api.ollama.records import present
from pollama.api.openai import decode, schemas
from pollama.api.openai.encode import (
    FINGERPRINT,
    STREAM_END,
    debug_info,
    encode_logprobs,
    encode_tool_calls,
    finish_reason,
    new_id,
    unix_now,
    usage,
)
from pollama.api.openai.errors import envelope
from pollama.api.streaming import Collected, Event, join_pieces, sse
from pollama.api.v1 import EVENT_STREAM, answer, read_body, refusal
from pollama.errors import PollamaError
from pollama.types import gojson
from pollama.types.events import Done, Piece, Rendered
from pollama.types.json import Json


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/chat/completions."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(schemas.CHAT, body)
        wanted = decode.chat_request(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    answering = ChatAnswer(
        wanted.model,
        with_tools=bool(wanted.tools),
        with_usage=fields.get("stream_options", {}).get("include_usage", False),
    )
    headers = EVENT_STREAM if fields.get("stream") else None
    return await answer(request, translated(request, wanted), answering, envelope, stream_headers=headers)


class ChatAnswer:
    """One chat completion. ``with_tools``: tools were offered; ``with_usage``: the stream ends with token counts."""

    def __init__(self, model: str, *, with_tools: bool = False, with_usage: bool = False) -> None:
        self._model = model
        self._with_tools = with_tools
        self._with_usage = with_usage
        self._id = new_id("chatcmpl-")
        self._created = unix_now()
        self._began = False
        self._called = False
        head = gojson.dumps(self._head("chat.completion.chunk", model))
        self._delta_head = f'data: {head[:-1]},"choices":[{{"index":0,"delta":'

    def event(self, event: Event | None) -> bytes:
        """Return the chunks of an event."""
        if isinstance(event, Piece):
            return self._piece(event)
        if isinstance(event, Done):
            return self._end(event)
        return self._piece(Piece()) if isinstance(event, Rendered) else b""

    def broken(self, _: PollamaError) -> bytes:
        """Return the empty chunk that a failing stream ends with."""
        return self._chunk([_choice({"content": ""})], model="")

    def _piece(self, piece: Piece) -> bytes:
        self._called = self._called or bool(piece.tool_calls)
        if piece.thinking and (piece.content or piece.tool_calls):
            thought = self._delta({"reasoning": piece.thinking}, piece)
            return thought + self._delta(_payload(replace(piece, thinking="")), None)
        return self._delta(_payload(piece), piece)

    def _end(self, done: Done) -> bytes:
        last = done.last
        silent = not (last.content or last.thinking or last.tool_calls or last.logprobs)
        payload = b"" if silent and self._began else self._piece(last)
        finish = self._chunk([_choice({}, finish_reason(done, called=self._called))])
        counts = self._chunk([], usage=usage(done)) if self._with_usage else b""
        return payload + finish + counts + STREAM_END

    def _delta(self, delta: dict[str, Json], logged: Piece | None) -> bytes:
        role = {} if self._began else {"role": "assistant"}
        self._began = True
        logprobs = encode_logprobs(logged.logprobs) if logged else {}
        # Everything around the delta stays the same from token to token, so it is written only once.
        tail = gojson.dumps({"finish_reason": None, **logprobs})[1:]
        return f"{self._delta_head}{gojson.dumps({**role, **delta})},{tail}]}}\n\n".encode()

    def _chunk(self, choices: list[Json], model: str | None = None, **extra: Json) -> bytes:
        head = self._head("chat.completion.chunk", self._model if model is None else model)
        return sse(gojson.dumps({**head, "choices": choices, **extra}))

    def _head(self, kind: str, model: str) -> dict[str, Json]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self, collected: Collected) -> Json:
        """Return the completion object."""
        piece = join_pieces(collected, all_calls=self._with_tools)
        optional = {"reasoning": piece.thinking, "tool_calls": encode_tool_calls(piece.tool_calls)}
        message = {"role": "assistant", "content": piece.content, **present(optional)}
        reason = finish_reason(collected.done, called=bool(piece.tool_calls))
        return self._completion(message, reason, collected.done, encode_logprobs(piece.logprobs))

    def rendered(self, rendered: Rendered) -> Json:
        """Return the completion object of a debug answer; its message has no role."""
        message = {"role": "", "content": ""}
        return {**self._completion(message, None, None, {}), "_debug_info": debug_info(rendered)}

    def _completion(
        self, message: dict[str, Json], reason: str | None, done: Done | None, logprobs: dict[str, Json]
    ) -> dict[str, Json]:
        choice = {"index": 0, "message": message, "finish_reason": reason, **logprobs}
        head = self._head("chat.completion", self._model) | {"created": unix_now()}
        return {**head, "choices": [choice], "usage": usage(done)}


def _payload(piece: Piece) -> dict[str, Json]:
    optional = {"reasoning": piece.thinking, "tool_calls": encode_tool_calls(piece.tool_calls)}
    return {"content": piece.content, **present(optional)}


def _choice(delta: dict[str, Json], reason: str | None = None) -> dict[str, Json]:
    return {"index": 0, "delta": delta, "finish_reason": reason}
