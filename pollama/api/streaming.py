"""Answers as newline-delimited JSON: one record per event, each sent at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from pollama.api.errors import NDJSON, error_body
from pollama.errors import PollamaError

Event = TypeVar("Event")


@asynccontextmanager
async def closing(events: AsyncIterator[Event]) -> AsyncGenerator[AsyncIterator[Event], None]:
    """Close a generator of events in every way out, which cancels the work behind it."""
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def stream_records(
    request: web.Request, first: Event | None, rest: AsyncIterator[Event], encode: Callable[[Event | None], bytes]
) -> web.StreamResponse:
    """Send ``first`` and then ``rest``, each as the line that ``encode`` makes of it (b"" for none).

    A failure under way becomes a last ``{"error": ...}`` line, because the status has been sent.
    """
    response = web.StreamResponse(headers={"Content-Type": NDJSON})
    await response.prepare(request)
    await _write(response, encode(first))
    try:
        async for event in rest:
            await _write(response, encode(event))
    except PollamaError as error:
        await response.write(error_body(error) + b"\n")
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, line: bytes) -> None:
    if line:
        await response.write(line)
