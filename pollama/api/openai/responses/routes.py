"""The handler of /v1/responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

from aiohttp import web

from pollama.api.generation import translated
from pollama.api.godecode import decode_body
from pollama.api.openai.errors import envelope
from pollama.api.openai.responses.schemas import RESPONSES, chat_request, searches_the_web
from pollama.api.openai.responses.stream import ResponseAnswer
from pollama.api.services import SERVICES, Services
from pollama.api.streaming import Event, closing
from pollama.api.v1 import LIVE_EVENT_STREAM, answer, read_body, refusal
from pollama.api.web_search import WEB_SEARCH, web_unavailable
from pollama.errors import PollamaError
from pollama.types.events import Done, Piece


async def responses(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/responses."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(RESPONSES, body)
        wanted = chat_request(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    events: AsyncIterator[Event] = translated(request, wanted)
    if searches_the_web(fields):
        events = _without_web(events, request.app[SERVICES])
    answering = ResponseAnswer(fields, with_tools=bool(wanted.tools))
    headers = LIVE_EVENT_STREAM if fields.get("stream") else None
    return await answer(request, events, answering, envelope, stream_headers=headers)


async def _without_web(events: AsyncIterator[Event], services: Services) -> AsyncGenerator[Event, None]:
    """Pass events on until the model wants to search the web, which fails: there is no account to search with."""
    async with closing(events):
        async for event in events:
            piece = event.last if isinstance(event, Done) else event
            if isinstance(piece, Piece) and any(call.name == WEB_SEARCH for call in piece.tool_calls):
                yield replace(piece, tool_calls=[])
                raise web_unavailable(services)
            yield event
