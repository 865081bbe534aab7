"""Answers that are sent while they are made, and the events that they are made from."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import ClientConnectionResetError, web

from pollama.api.errors import NDJSON, error_body
from pollama.errors import PollamaError
from pollama.types.events import Done, Piece, Rendered

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Event = Piece | Done | Rendered

RECORDS: Final = {"Content-Type": NDJSON}
"""Headers of newline-delimited JSON."""


@asynccontextmanager
async def closing(items: AsyncIterator[Item]) -> AsyncGenerator[AsyncIterator[Item], None]:
    """Close a generator in every way out, which cancels the work behind it."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


def error_line(error: PollamaError) -> bytes:
    """Return a failure under way as the native dialect's last line."""
    return error_body(error) + b"\n"


async def stream(
    request: web.Request,
    first: Item | None,
    rest: AsyncIterator[Item],
    encode: Callable[[Item | None], bytes],
    *,
    headers: Mapping[str, str] = RECORDS,
    failure: Callable[[PollamaError], bytes] = error_line,
) -> web.StreamResponse:
    """Send ``first`` and then ``rest`` at once, each as what ``encode`` makes of it (b"" for nothing to send).

    The status has been sent when a failure comes up under way, so it ends the stream with what ``failure`` makes of it.
    """
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        await _send(response, first, rest, encode, failure)
        await response.write_eof()
    except ClientConnectionResetError:
        log.debug("client of %s left", request.path)
    return response


async def _send(
    response: web.StreamResponse,
    first: Item | None,
    rest: AsyncIterator[Item],
    encode: Callable[[Item | None], bytes],
    failure: Callable[[PollamaError], bytes],
) -> None:
    await _write(response, encode(first))
    try:
        async for item in rest:
            await _write(response, encode(item))
    except PollamaError as error:
        await _write(response, failure(error))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    if data:
        await response.write(data)


@dataclass(slots=True)
class Collected:
    """All events of an answer; a generation may end without ``done``."""

    pieces: list[Piece] = field(default_factory=list)
    done: Done | None = None


async def collect(first: Event | None, rest: AsyncIterator[Event]) -> Collected:
    """Gather ``first`` and ``rest`` for an answer that is not streamed. Raises what the generation raises."""
    return gathered([first, *[event async for event in rest]])


def gathered(events: Iterable[Event | None]) -> Collected:
    """Return the events of an answer by their kind."""
    collected = Collected()
    for event in events:
        if isinstance(event, Piece):
            collected.pieces.append(event)
        elif isinstance(event, Done):
            collected.done = event
    return collected


def join_pieces(collected: Collected, *, all_calls: bool) -> Piece:
    """Return everything that an answer consists of as one piece.

    ``tool_calls`` are those of the last piece, or of all of them with ``all_calls``.
    """
    done = collected.done
    parts = collected.pieces if done is None else [*collected.pieces, done.last]
    calls = [call for part in (parts if all_calls else parts[-1:]) for call in part.tool_calls]
    return Piece(
        content="".join(part.content for part in parts),
        thinking="".join(part.thinking for part in parts),
        tool_calls=calls,
        logprobs=[entry for part in parts for entry in part.logprobs],
    )


def sse(data: str, event: str = "") -> bytes:
    """Return one server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data}\n\n".encode()
