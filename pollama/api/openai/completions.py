"""POST /v1/completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web

from pollama.api.errors import unnamed_is_missing
from pollama.api.generation import translated
from pollama.api.godecode import decode_body
from pollama.api.openai import decode, schemas
from pollama.api.openai.encode import FINGERPRINT, STREAM_END, finish_reason, new_id, unix_now, usage
from pollama.api.openai.errors import envelope
from pollama.api.streaming import Collected, Event, closing, join_pieces, sse
from pollama.api.v1 import EVENT_STREAM, answer, read_body, refusal
from pollama.errors import NameRequiredError, PollamaError
from pollama.types import gojson
from pollama.types.events import Done, Piece, Rendered
from pollama.types.json import Json
from pollama.types.requests import CompletionRequest


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/completions."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(schemas.COMPLETION, body)
        wanted = decode.completion_request(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    with_usage = fields.get("stream_options", {}).get("include_usage", False)
    answering = CompletionAnswer(wanted.model, with_usage=with_usage)
    headers = EVENT_STREAM if fields.get("stream") else None
    return await answer(request, _events(request, wanted), answering, envelope, stream_headers=headers)


async def _events(request: web.Request, wanted: CompletionRequest) -> AsyncGenerator[Event, None]:
    try:
        async with closing(translated(request, wanted)) as events:
            async for event in events:
                yield event
    except NameRequiredError:
        raise unnamed_is_missing() from None


class CompletionAnswer:
    """One text completion. ``with_usage``: the stream ends with token counts. Thinking is not shown."""

    def __init__(self, model: str, *, with_usage: bool = False) -> None:
        self._model = model
        self._with_usage = with_usage
        self._id = new_id("cmpl-")

    def event(self, event: Event | None) -> bytes:
        """Return the chunks of an event."""
        if isinstance(event, Done):
            counts = self._chunk([], event) if self._with_usage else b""
            return self._chunk([_choice(event.last.content, event)]) + counts + STREAM_END
        if isinstance(event, Piece):
            return self._chunk([_choice(event.content)])
        return self._chunk([_choice("")]) if isinstance(event, Rendered) else b""

    def broken(self, _: PollamaError) -> bytes:
        """Return the empty chunk that a failing stream ends with."""
        return self._chunk([_choice("")], model="")

    def _chunk(self, choices: list[Json], done: Done | None = None, model: str | None = None) -> bytes:
        fields = {
            "id": self._id,
            "object": "text_completion",
            "created": unix_now(),
            "choices": choices,
            "model": self._model if model is None else model,
            "system_fingerprint": FINGERPRINT,
            **({"usage": usage(done)} if self._with_usage else {}),
        }
        return sse(gojson.dumps(fields))

    def whole(self, collected: Collected) -> Json:
        """Return the completion object."""
        return self._completion(join_pieces(collected, all_calls=False).content, collected.done)

    def rendered(self, _: Rendered) -> Json:
        """Return the completion object of a debug answer, which shows nothing."""
        return self._completion("", None)

    def _completion(self, text: str, done: Done | None) -> Json:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": unix_now(),
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            "choices": [_choice(text, done)],
            "usage": usage(done),
        }


def _choice(text: str, done: Done | None = None) -> dict[str, Json]:
    return {"text": text, "index": 0, "finish_reason": finish_reason(done)}
