"""Requests on their way from any dialect to inference."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from typing import Final

from aiohttp import web

from pollama.api.services import SERVICES
from pollama.api.streaming import Event, closing
from pollama.errors import BadRequestError
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


async def translated(request: web.Request, wanted: ChatRequest | CompletionRequest) -> AsyncGenerator[Event, None]:
    """Carry out a request that was translated from another dialect. Raises as the native dialect does."""
    check_top_logprobs(wanted.top_logprobs)
    inference = request.app[SERVICES].inference
    client = client_of(request)
    running = (
        inference.chat(wanted, client=client)
        if isinstance(wanted, ChatRequest)
        else inference.complete(wanted, client=client)
    )
    async with closing(running) as events:
        async for event in events:
            yield event
