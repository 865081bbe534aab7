"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pollama.api.anthropic import decode
from pollama.api.anthropic.encode import MessageAnswer
from pollama.api.anthropic.errors import envelope
from pollama.api.anthropic.schemas import COUNT_TOKENS, MESSAGES
from pollama.api.errors import NDJSON
from pollama.api.generation import client_of, translated
from pollama.api.godecode import decode_body
from pollama.api.services import SERVICES
from pollama.api.v1 import LIVE_EVENT_STREAM, answer, failure, read_body, refusal, success
from pollama.api.web_search import web_unavailable
from pollama.errors import PollamaError


def anthropic_routes() -> list[web.RouteDef]:
    """Return every route of the dialect."""
    return [web.post("/v1/messages", messages), web.post("/v1/messages/count_tokens", count_tokens)]


async def messages(request: web.Request) -> web.StreamResponse:
    """Answer POST /v1/messages."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(MESSAGES, body)
        wanted = decode.chat_request(fields)
        searches = decode.searches_the_web(fields)
        if searches and request.app[SERVICES].cloud_disabled:
            raise web_unavailable(request.app[SERVICES])
    except PollamaError as error:
        return refusal(error, envelope)
    answering = MessageAnswer(wanted.model, estimated_tokens=decode.estimated_tokens(fields), searches_the_web=searches)
    # Ollama labels a stream that may search the web as it labels its own streams; clients have to live with that.
    live = {**LIVE_EVENT_STREAM, "Content-Type": NDJSON} if searches else LIVE_EVENT_STREAM
    headers = live if fields.get("stream") else None
    one_call = fields.get("tool_choice", {}).get("disable_parallel_tool_use", False)
    events = translated(request, wanted, one_call=one_call)
    return await answer(request, events, answering, envelope, stream_headers=headers)


async def count_tokens(request: web.Request) -> web.Response:
    """Answer POST /v1/messages/count_tokens."""
    body = await read_body(request)
    try:
        wanted = decode.conversation(decode_body(COUNT_TOKENS, body))
    except PollamaError as error:
        return refusal(error, envelope)
    try:
        count = await request.app[SERVICES].inference.count_tokens(wanted, client=client_of(request))
    except PollamaError as error:
        return failure(error, envelope)
    return success({"input_tokens": count})
