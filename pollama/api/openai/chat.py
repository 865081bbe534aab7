"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from pollama.api.godecode import decode_body
from pollama.api.ollama.records import present
from pollama.api.openai import decode, schemas
from pollama.api.openai.choices import Numbered, by_choice, count_of, numbered
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
from pollama.api.openai.errors import broken_stream, envelope
from pollama.api.streaming import Event, gathered, join_pieces, sse
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
        count = count_of(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    answering = ChatAnswer(
        wanted.model,
        count=count,
        with_tools=bool(wanted.tools),
        with_usage=fields.get("stream_options", {}).get("include_usage", False),
    )
    events = numbered(request, wanted, count, one_call=fields.get("parallel_tool_calls") is False)
    headers = EVENT_STREAM if fields.get("stream") else None
    return await answer(request, events, answering, envelope, stream_headers=headers)


class ChatAnswer:
    """One chat completion with ``count`` choices.

    ``with_tools``: tools were offered; ``with_usage``: the stream ends with token counts.
    """

    def __init__(self, model: str, *, count: int = 1, with_tools: bool = False, with_usage: bool = False) -> None:
        self._with_tools = with_tools
        self._with_usage = with_usage
        self._head: dict[str, Json] = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": unix_now(),
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }
        head = gojson.dumps(self._head)[:-1]
        self._choices = [_StreamedChoice(head, index) for index in range(count)]
        self._ended: list[Done] = []

    def event(self, event: Numbered | None) -> bytes:
        """Return the chunks of an event."""
        if event is None:
            return b""
        index, happened = event
        chunks = self._choices[index].event(happened)
        if isinstance(happened, Done):
            self._ended.append(happened)
            return chunks + self._end() if len(self._ended) == len(self._choices) else chunks
        return chunks

    def _end(self) -> bytes:
        counts = sse(gojson.dumps({**self._head, "choices": [], "usage": usage(self._ended)}))
        return (counts if self._with_usage else b"") + STREAM_END

    def broken(self, error: PollamaError) -> bytes:
        """Return the error that a failing stream ends with."""
        return broken_stream(error)

    def whole(self, events: Sequence[Numbered]) -> Json:
        """Return the completion object."""
        answers = by_choice(events, len(self._choices))
        ended = [event for _, event in events if isinstance(event, Done)]
        rendered = next((event for _, event in events if isinstance(event, Rendered)), None)
        return {
            **self._head,
            "object": "chat.completion",
            "created": unix_now(),
            "choices": [self._choice(index, answer) for index, answer in enumerate(answers)],
            "usage": usage(ended),
            **present({"_debug_info": debug_info(rendered) if rendered else None}),
        }

    def _choice(self, index: int, events: Sequence[Event]) -> Json:
        if any(isinstance(event, Rendered) for event in events):
            return {"index": index, "message": {"role": "", "content": ""}, "finish_reason": None}
        collected = gathered(events)
        piece = join_pieces(collected, all_calls=self._with_tools)
        reason = finish_reason(collected.done, called=bool(piece.tool_calls))
        message = {"role": "assistant", **_payload(piece)}
        return {"index": index, "message": message, "finish_reason": reason, **encode_logprobs(piece.logprobs)}


class _StreamedChoice:
    """The chunks of one choice. ``head`` is what every chunk begins with, as JSON without its closing brace."""

    def __init__(self, head: str, index: int) -> None:
        self._head = f'data: {head},"choices":[{{"index":{index},"delta":'
        self._began = False
        self._called = False

    def event(self, event: Event) -> bytes:
        """Return the chunks of an event."""
        if isinstance(event, Done):
            return self._end(event)
        return self._piece(event if isinstance(event, Piece) else Piece())

    def _piece(self, piece: Piece) -> bytes:
        if self._began and not (piece.thinking or piece.tool_calls or piece.logprobs):
            # Nearly every token comes here, so what is the same around each of them is not encoded again.
            return f'{self._head}{{"content":{gojson.quote(piece.content)}}},"finish_reason":null}}]}}\n\n'.encode()
        self._called = self._called or bool(piece.tool_calls)
        if piece.thinking and (piece.content or piece.tool_calls):
            thought = self._delta({"reasoning": piece.thinking}, piece)
            return thought + self._delta(_payload(replace(piece, thinking="")), None)
        return self._delta(_payload(piece), piece)

    def _end(self, done: Done) -> bytes:
        last = done.last
        silent = not (last.content or last.thinking or last.tool_calls or last.logprobs)
        payload = b"" if silent and self._began else self._piece(last)
        return payload + self._chunk({}, {"finish_reason": finish_reason(done, called=self._called)})

    def _delta(self, delta: dict[str, Json], logged: Piece | None) -> bytes:
        role = {} if self._began else {"role": "assistant"}
        self._began = True
        logprobs = encode_logprobs(logged.logprobs) if logged else {}
        return self._chunk({**role, **delta}, {"finish_reason": None, **logprobs})

    def _chunk(self, delta: dict[str, Json], rest: dict[str, Json]) -> bytes:
        return f"{self._head}{gojson.dumps(delta)},{gojson.dumps(rest)[1:]}]}}\n\n".encode()


def _payload(piece: Piece) -> dict[str, Json]:
    optional = {"reasoning": piece.thinking, "tool_calls": encode_tool_calls(piece.tool_calls)}
    return {"content": piece.content, **present(optional)}
