"""Readers that take their time: what waits for them is bounded, and nobody else waits."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from pollama.api.app import create_app, create_runner
from pollama.api.services import Services
from pollama.types.events import Done, Piece
from pollama.types.requests import ChatRequest
from tests.api.fakes import FakeInference

STREAMS = 64
PIECES = 400
PIECE = "x" * 4096
BUFFER = 1 << 16
MOST_WAITING = 10 * BUFFER // len(PIECE)
"""Pieces of one stream that may be under way: the socket buffers of both sides, which the kernel doubles, and the
transport's own."""


@dataclass
class CountingInference(FakeInference):
    """Counts the pieces that were asked of each stream; the model's name says which one."""

    made: Counter[str] = field(default_factory=Counter)

    def chat(self, request: ChatRequest, *, client: str = "") -> AsyncIterator[Piece | Done]:
        return self._count(request.model)

    async def _count(self, name: str) -> AsyncIterator[Piece | Done]:
        for _ in range(PIECES):
            self.made[name] += 1
            yield Piece(content=PIECE)
        yield Done(reason="stop")


@dataclass
class Stream:
    """A client that has asked for a stream and reads when it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def contents(self) -> list[str]:
        """Read everything and return the contents of the chunks."""
        body = await self.reader.read()
        self.writer.close()
        await self.writer.wait_closed()
        lines = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
        assert lines.pop() == b"[DONE]"
        return [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]


async def opened(port: int, name: str) -> Stream:
    """Ask for a stream through a socket with a small buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=BUFFER // 4)
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return Stream(reader, writer)


@pytest.fixture
def inference() -> CountingInference:
    return CountingInference()


@pytest.fixture
async def port(services: Services, inference: CountingInference) -> AsyncIterator[int]:
    """The port of a server whose connections have small buffers."""
    runner = create_runner(create_app(replace(services, inference=inference)))
    await runner.setup()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    listening.bind(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listening, backlog=STREAMS).start()
        yield listening.getsockname()[1]
    finally:
        await runner.cleanup()


async def test_slow_readers_hold_up_nobody_and_pile_up_nothing(port: int, inference: CountingInference) -> None:
    slow = [await opened(port, f"slow-{number}") for number in range(STREAMS // 2)]
    fast = [await opened(port, f"fast-{number}") for number in range(STREAMS // 2)]
    whole = [*[PIECE] * PIECES, ""]
    for contents in await asyncio.gather(*(stream.contents() for stream in fast)):
        assert contents == whole
    waiting = {name: count for name, count in inference.made.items() if name.startswith("slow")}
    assert len(waiting) == STREAMS // 2
    assert max(waiting.values()) <= MOST_WAITING < PIECES
    for contents in await asyncio.gather(*(stream.contents() for stream in slow)):
        assert contents == whole
