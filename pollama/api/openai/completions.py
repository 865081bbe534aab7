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
from pollama.api.openai.text_logprobs import encode_text_logprobs
from pollama.api.streaming import Event, closing, gathered, join_pieces, sse
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
    answering = CompletionAnswer(
        wanted.model,
        count=count,
        echoed=wanted.prompt if fields.get("echo") else "",
        with_usage=fields.get("stream_options", {}).get("include_usage", False),
    )
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
    """One text completion with ``count`` choices, each behind ``echoed``.

    ``with_usage``: the stream ends with token counts. Thinking is not shown.
    """

    def __init__(self, model: str, *, count: int = 1, echoed: str = "", with_usage: bool = False) -> None:
        self._model = model
        self._choices = [_Choice(index, echoed) for index in range(count)]
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
            return self._piece(index, happened if isinstance(happened, Piece) else Piece())
        self._ended.append(happened)
        chunk = self._chunk([self._choices[index].part(happened.last, happened)])
        return chunk + self._end() if len(self._ended) == len(self._choices) else chunk

    def _piece(self, index: int, piece: Piece) -> bytes:
        """Return ``_chunk`` of a part of the text; what is the same around each of them was encoded before."""
        choice = self._choices[index].shown(piece)
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
        answers = by_choice(events, len(self._choices))
        ended = [event for _, event in events if isinstance(event, Done)]
        return {
            "id": self._id,
            "object": "text_completion",
            "created": unix_now(),
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            "choices": [choice.whole(answer) for choice, answer in zip(self._choices, answers, strict=True)],
            "usage": usage(ended),
        }


class _Choice:
    """One text, as far as it has been sent."""

    def __init__(self, index: int, echoed: str) -> None:
        self._index = index
        self._echoed = echoed
        self._length = 0

    def part(self, piece: Piece, done: Done | None = None) -> dict[str, Json]:
        """Return what a piece adds, and why the text ends if it does; the first part begins with the echo."""
        text = piece.content if self._length else self._echoed + piece.content
        logprobs = encode_text_logprobs([piece], offset=self._length)
        self._length += len(text)
        return self._choice(text, done, logprobs)

    def shown(self, piece: Piece) -> str:
        """Return ``part`` as JSON; nearly every token comes here, so it is not built from a dict."""
        if piece.logprobs or not self._length:
            return gojson.dumps(self.part(piece))
        self._length += len(piece.content)
        return f'{{"text":{gojson.quote(piece.content)},"index":{self._index},"finish_reason":null}}'

    def whole(self, events: Sequence[Event]) -> dict[str, Json]:
        """Return all of the text at once."""
        collected = gathered(events)
        text = self._echoed + join_pieces(collected, all_calls=False).content
        return self._choice(text, collected.done, encode_text_logprobs(collected.pieces, offset=0))

    def _choice(self, text: str, done: Done | None, logprobs: dict[str, Json]) -> dict[str, Json]:
        return {"text": text, "index": self._index, "finish_reason": finish_reason(done), **logprobs}
