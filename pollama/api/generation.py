"""Requests on their way from any dialect to inference."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Final

from aiohttp import web

from pollama.api.services import SERVICES
from pollama.api.streaming import Event, closing
from pollama.errors import BadRequestError
from pollama.types.events import Done, Piece
from pollama.types.requests import ChatRequest, CompletionRequest

_MAX_TOP_LOGPROBS: Final = 20
_KEY_DIGITS: Final = 16


def client_of(request: web.Request) -> str:
    """Return what groups requests for fairness: a digest of the API key, or the client's address without one."""
    key = request.headers.get("Authorization") or request.headers.get("X-Api-Key")
    if not key:
        return request.remote or ""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:_KEY_DIGITS]


def check_top_logprobs(count: int) -> None:
    """Raise BadRequestError unless ``count`` is in range."""
    if not 0 <= count <= _MAX_TOP_LOGPROBS:
        raise BadRequestError(f"top_logprobs must be between 0 and {_MAX_TOP_LOGPROBS}")


def translated(
    request: web.Request, wanted: ChatRequest | CompletionRequest, *, one_call: bool = False
) -> AsyncIterator[Event]:
    """Carry out a request that was translated from another dialect. Its failures are raised as events are read.

    ``one_call``: calls behind the first are left out.
    """
    inference = request.app[SERVICES].inference
    client = client_of(request)
    events = (
        inference.chat(wanted, client=client)
        if isinstance(wanted, ChatRequest)
        else inference.complete(wanted, client=client)
    )
    return _one_call(events) if one_call else events


async def _one_call(running: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    calls = 1
    async with closing(running) as events:
        async for event in events:
            kept = _with_calls(event, calls)
            calls -= len(_piece(kept).tool_calls)
            if kept is event or kept != Piece():
                yield kept


def _piece(event: Event) -> Piece:
    if isinstance(event, Done):
        return event.last
    return event if isinstance(event, Piece) else Piece()


def _with_calls(event: Event, most: int) -> Event:
    """Return an event with at most so many calls."""
    piece = _piece(event)
    if len(piece.tool_calls) <= most:
        return event
    piece = replace(piece, tool_calls=piece.tool_calls[:most])
    return replace(event, last=piece) if isinstance(event, Done) else piece
