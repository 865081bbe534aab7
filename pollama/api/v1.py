"""What the dialects under ``/v1`` have in common: how bodies come in and how generations are answered."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

import zstandard
from aiohttp import web

from pollama.api.cloud import refuse_cloud_name
from pollama.api.errors import JSON, JSON_UTF8, json_response
from pollama.api.godecode import String, Struct, decode_body
from pollama.api.services import SERVICES, Services
from pollama.api.streaming import closing, stream
from pollama.errors import BadRequestError, PollamaError
from pollama.types import gojson
from pollama.types.json import Json

_WINDOW_BYTES: Final = 8 << 20
_MAX_DECOMPRESSED_BYTES: Final = 20 << 20
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_NAMED: Final = Struct("", {"model": String()})

EVENT_STREAM: Final = {"Content-Type": "text/event-stream"}
LIVE_EVENT_STREAM: Final = {**EVENT_STREAM, "Cache-Control": "no-cache", "Connection": "keep-alive"}
"""As newer dialects send it; what is not the type also stands on failures of a request for a stream."""


Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Answering(Protocol[Item_contra]):
    """One answer of a dialect; keeps what has to stay the same within it."""

    def event(self, event: Item_contra | None) -> bytes:
        """Return what an event adds to a stream."""
        ...

    def broken(self, error: PollamaError) -> bytes:
        """Return how a stream ends that fails under way."""
        ...

    def whole(self, events: Sequence[Item_contra]) -> Json:
        """Return the single object of an answer that is not streamed."""
        ...


Envelope = Callable[[PollamaError], Json]
"""Words a failure as a dialect does."""


async def read_body(request: web.Request) -> bytes:
    """Return the body, decompressed. Raises PollamaError, which is answered in the native envelope."""
    body = await request.read()
    if request.headers.get("Content-Encoding") == "zstd":
        body = await asyncio.to_thread(_decompress, body)
    _refuse_cloud(request.app[SERVICES], body)
    return body


def _decompress(data: bytes) -> bytes:
    if not data.startswith(_ZSTD_MAGIC):
        raise BadRequestError("invalid input: magic number mismatch")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            body = reader.read(_MAX_DECOMPRESSED_BYTES + 1)
    except zstandard.ZstdError as error:
        raise BadRequestError(str(error)) from None
    if len(body) > _MAX_DECOMPRESSED_BYTES:
        raise BadRequestError("http: request body too large")
    return body


def _refuse_cloud(services: Services, body: bytes) -> None:
    """Raise for a body that names a model of the cloud; whatever else is wrong with it is found later."""
    if b"cloud" not in body.lower():
        return
    with suppress(BadRequestError):
        refuse_cloud_name(services, decode_body(_NAMED, body).get("model", ""))


def refusal(error: PollamaError, envelope: Envelope) -> web.Response:
    """Return the answer to a request that cannot be translated."""
    return json_response(gojson.dumps(envelope(error)).encode(), status=error.status, content_type=JSON_UTF8)


def failure(error: PollamaError, envelope: Envelope) -> web.Response:
    """Return the answer to a request that was translated and then failed."""
    return json_response(gojson.dump_line(envelope(error)), status=error.status, content_type=JSON)


def success(value: Json) -> web.Response:
    """Return a whole answer."""
    return json_response(gojson.dump_line(value), content_type=JSON)


async def answer(
    request: web.Request,
    events: AsyncIterator[Item],
    answering: Answering[Item],
    envelope: Envelope,
    *,
    stream_headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send the events of a generation: as a stream with ``stream_headers``, else as one object."""
    async with closing(events):
        try:
            first = await anext(events, None)
            if stream_headers is not None:
                return await stream(
                    request, first, events, answering.event, headers=stream_headers, failure=answering.broken
                )
            return success(answering.whole([] if first is None else [first, *[event async for event in events]]))
        except PollamaError as error:
            response = failure(error, envelope)
            response.headers.update({**(stream_headers or {}), "Content-Type": JSON})
            return response
