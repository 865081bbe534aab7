"""The handler of /v1/responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from pollama.api.generation import client_of, translated
from pollama.api.godecode import decode_body
from pollama.api.openai.errors import envelope
from pollama.api.openai.responses.schemas import RESPONSES, chat_request, searches_the_web
from pollama.api.openai.responses.store import RESPONSE_STORE
from pollama.api.openai.responses.stream import ResponseAnswer
from pollama.api.services import SERVICES, Services
from pollama.api.streaming import Event, closing
from pollama.api.v1 import LIVE_EVENT_STREAM, answer, read_body, refusal
from pollama.api.web_search import WEB_SEARCH, web_unavailable
from pollama.errors import PollamaError
from pollama.types.events import Done, Piece
from pollama.types.messages import Message
from pollama.types.requests import ChatRequest


async def responses(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/responses."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(RESPONSES, body)
        wanted = chat_request(fields, _previous(request, fields))
    except PollamaError as error:
        return refusal(error, envelope)
    one_call = fields.get("parallel_tool_calls") is False
    events: AsyncIterator[Event] = translated(request, wanted, one_call=one_call)
    if searches_the_web(fields):
        events = _without_web(events, request.app[SERVICES])
    answering = ResponseAnswer(
        fields,
        identity=request.app[RESPONSE_STORE].unused_id(client_of(request)),
        with_tools=bool(wanted.tools),
        keep=_keeping(request, fields, wanted),
    )
    headers = LIVE_EVENT_STREAM if fields.get("stream") else None
    return await answer(request, events, answering, envelope, stream_headers=headers)


def _previous(request: web.Request, fields: dict[str, Any]) -> list[Message]:
    """Return the conversation to go on with. Raises BadRequestError."""
    identity = fields.get("previous_response_id")
    return request.app[RESPONSE_STORE].messages(client_of(request), identity) if identity else []


def _keeping(request: web.Request, fields: dict[str, Any], wanted: ChatRequest) -> Callable[[str, Message], None]:
    """Return what keeps the answer to a request, unless it says not to."""

    def keep(identity: str, answered: Message) -> None:
        if fields.get("store") is not False:
            said = wanted.messages[1:] if fields.get("instructions") else wanted.messages
            request.app[RESPONSE_STORE].keep(client_of(request), identity, [*said, answered])

    return keep


async def _without_web(events: AsyncIterator[Event], services: Services) -> AsyncGenerator[Event, None]:
    """Pass events on until the model wants to search the web, which fails: there is no account to search with."""
    async with closing(events):
        async for event in events:
            piece = event.last if isinstance(event, Done) else event
            if isinstance(piece, Piece) and any(call.name == WEB_SEARCH for call in piece.tool_calls):
                yield replace(piece, tool_calls=[])
                raise web_unavailable(services)
            yield event
