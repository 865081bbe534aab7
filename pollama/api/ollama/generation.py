"""POST /api/generate and /api/chat: decode, call, encode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from pollama.api.cloud import refuse_cloud_name
from pollama.api.errors import JSON, JSON_UTF8, RUNNING_ERRORS, error_response, json_response, unnamed_is_missing
from pollama.api.generation import client_of
from pollama.api.ollama import decode, schemas
from pollama.api.ollama.records import ChatRecords, GenerateRecords, Records
from pollama.api.services import SERVICES
from pollama.api.streaming import Event, closing, collect, stream
from pollama.errors import NameRequiredError
from pollama.types.events import Done, Piece, Rendered


async def generate(request: web.Request) -> web.StreamResponse:
    """Answer POST /api/generate."""
    fields = decode.fields_of(schemas.GENERATE, await request.read())
    wanted = decode.completion_request(fields)
    services = request.app[SERVICES]
    records = GenerateRecords(wanted.model)
    try:
        refuse_cloud_name(services, wanted.model)
        events = services.inference.complete(wanted, client=client_of(request))
        return await answer(request, events, records, streamed=decode.wants_stream(fields))
    except NameRequiredError:
        raise unnamed_is_missing() from None


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer POST /api/chat."""
    fields = decode.fields_of(schemas.CHAT, await request.read())
    wanted = decode.chat_request(fields)
    services = request.app[SERVICES]
    refuse_cloud_name(services, wanted.model)
    events = services.inference.chat(wanted, client=client_of(request))
    records = ChatRecords(wanted.model, with_tools=bool(wanted.tools))
    return await answer(request, events, records, streamed=decode.wants_stream(fields))


async def answer(
    request: web.Request, events: AsyncIterator[Event], records: Records, *, streamed: bool
) -> web.StreamResponse:
    """Send the events of a generation. Load, unload and debug answers are one object even when streaming."""
    async with closing(events):
        try:
            first = await anext(events, None)
        except RUNNING_ERRORS as error:
            return error_response(error, JSON if streamed else JSON_UTF8)
        if isinstance(first, Rendered):
            return json_response(records.rendered(first))
        if isinstance(first, Done) and first.reason in ("load", "unload"):
            return json_response(records.last(first))
        if streamed:
            return await stream(request, first, events, partial(_line, records))
        return json_response(records.whole(await collect(first, events)))


def _line(records: Records, event: Event | None) -> bytes:
    if isinstance(event, Piece):
        return records.piece(event) + b"\n"
    return records.last(event) + b"\n" if isinstance(event, Done) else b""
