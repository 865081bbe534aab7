"""POST /v1/completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiohttp import web

from pollama.api.errors import unnamed_is_missing
from pollama.api.godecode import decode_body
from pollama.api.openai import decode, schemas
from pollama.api.openai.choices import Numbered, by_choice, count_of, numbered
from pollama.api.openai.encode import FINGERPRINT, STREAM_END, finish_reason, new_id, unix_now, usage
from pollama.api.openai.errors import broken_stream, envelope
from pollama.api.streaming import closing, gathered, join_pieces, sse
from pollama.api.v1 import EVENT_STREAM, answer, read_body, refusal
from pollama.errors import NameRequiredError, PollamaError
from pollama.types import gojson
from pollama.types.events import Done, Piece
from pollama.types.json import Json
from pollama.types.requests import CompletionRequest


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/completions."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(schemas.COMPLETION, body)
        wanted = decode.completion_request(fields)
        count = count_of(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    with_usage = fields.get("stream_options", {}).get("include_usage", False)
    answering = CompletionAnswer(wanted.model, count=count, with_usage=with_usage)
    headers = EVENT_STREAM if fields.get("stream") else None
    return await answer(request, _events(request, wanted, count), answering, envelope, stream_headers=headers)


async def _events(request: web.Request, wanted: CompletionRequest, count: int) -> AsyncGenerator[Numbered, None]:
    try:
        async with closing(numbered(request, wanted, count)) as events:
            async for event in events:
                yield event
    except NameRequiredError:
        raise unnamed_is_missing() from None


class CompletionAnswer:
    """One text completion with ``count`` choices. ``with_usage``: the stream ends with token counts.

    Thinking is not shown.
    """

    def __init__(self, model: str, *, count: int = 1, with_usage: bool = False) -> None:
        self._model = model
        self._count = count
        self._with_usage = with_usage
        self._id = new_id("cmpl-")
        self._ended: list[Done] = []
        self._head = f'data: {{"id":"{self._id}","object":"text_completion","created":'
        usage_field = {"usage": usage([])} if with_usage else {}
        self._tail = f",{gojson.dumps({'model': model, 'system_fingerprint': FINGERPRINT, **usage_field})[1:]}\n\n"

    def event(self, event: Numbered | None) -> bytes:
        """Return the chunks of an event."""
        if event is None:
            return b""
        index, happened = event
        if not isinstance(happened, Done):
            return self._token(index, happened.content if isinstance(happened, Piece) else "")
        self._ended.append(happened)
        chunk = self._chunk([_choice(index, happened.last.content, happened)])
        return chunk + self._end() if len(self._ended) == self._count else chunk

    def _token(self, index: int, text: str) -> bytes:
        """Return ``_chunk`` of a part of the text; what is the same around each of them was encoded before."""
        choice = f'{{"text":{gojson.quote(text)},"index":{index},"finish_reason":null}}'
        return f'{self._head}{unix_now()},"choices":[{choice}]{self._tail}'.encode()

    def _end(self) -> bytes:
        counts = self._chunk([], self._ended) if self._with_usage else b""
        return counts + STREAM_END

    def broken(self, error: PollamaError) -> bytes:
        """Return the error that a failing stream ends with."""
        return broken_stream(error)

    def _chunk(self, choices: list[Json], ended: Sequence[Done] = ()) -> bytes:
        fields = {
            "id": self._id,
            "object": "text_completion",
            "created": unix_now(),
            "choices": choices,
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            **({"usage": usage(ended)} if self._with_usage else {}),
        }
        return sse(gojson.dumps(fields))

    def whole(self, events: Sequence[Numbered]) -> Json:
        """Return the completion object; a debug answer shows nothing."""
        answers = [gathered(answer) for answer in by_choice(events, self._count)]
        return {
            "id": self._id,
            "object": "text_completion",
            "created": unix_now(),
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            "choices": [
                _choice(index, join_pieces(answer, all_calls=False).content, answer.done)
                for index, answer in enumerate(answers)
            ],
            "usage": usage([answer.done for answer in answers if answer.done is not None]),
        }


def _choice(index: int, text: str, done: Done | None = None) -> dict[str, Json]:
    return {"text": text, "index": index, "finish_reason": finish_reason(done)}
