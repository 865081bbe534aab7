"""The channel on which a runner tells what it generates: one socket for the answers to all requests.

A request goes over HTTP and stays open while its answer runs, so that it ends with its client. What is generated takes
this way instead: after each step the engine's thread writes what all sequences produced, at once and before it computes
again, and the head reads it at once. No thread of the runner but the engine's has to wake up for a token: on a machine
whose cores all compute, each one that does holds the next step up.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

from pollama.errors import GenerationError
from pollama.runners.backlog import Backlog
from pollama.runners.protocol import decode_frame, encode_frame
from pollama.types.generation import Delta, Finished

_SEND_BYTES: Final = 1 << 20
"""What the kernel may hold for a head that is busy."""


class AnswerWriter:
    """The runner's end. ``put`` and ``flush`` are safe from any thread; neither ever waits for the head.

    What the socket does not take is kept, and sent from ``loop``.
    """

    def __init__(self, connection: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        self._connection = connection
        self._loop = loop
        self._frames: list[bytes] = []
        self._unsent = bytearray()
        self._sending = threading.Lock()

    def put(self, number: int, item: Delta | Finished | Exception) -> None:
        """Add to what ``flush`` will send: an item of the answer with this number."""
        self._frames.append(encode_frame(number, item))

    def flush(self) -> None:
        """Send what was put."""
        with self._sending:
            frames, self._frames = self._frames, []
            data = b"".join(frames)
            if self._unsent:
                self._unsent += data
                return
            sent = self._send(data)
            if sent < len(data) and not self._loop.is_closed():
                self._unsent += data[sent:]
                self._loop.call_soon_threadsafe(self._wait)

    def close(self) -> None:
        """Send nothing any more; safe to call twice."""
        with self._sending:
            if self._connection.fileno() >= 0:
                self._loop.remove_writer(self._connection)
                self._connection.close()

    def _wait(self) -> None:
        with self._sending:
            if self._connection.fileno() >= 0:
                self._loop.add_writer(self._connection, self._go_on)

    def _go_on(self) -> None:
        with self._sending:
            del self._unsent[: self._send(self._unsent)]
            if not self._unsent:
                self._loop.remove_writer(self._connection)

    def _send(self, data: bytes | bytearray) -> int:
        """Return how many bytes were sent; where nobody reads any more, all are done with."""
        try:
            return self._connection.send(data) if data else 0
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)


class ExpectedAnswer(Backlog):
    """The answer with a number, as far as it has come. ``finished``: all of it has been read."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.finished = False

    async def __aiter__(self) -> AsyncGenerator[Delta | Finished, None]:
        """Yield what comes, to the end; an error is raised."""
        while not self.finished:
            for item in await self.get():
                if isinstance(item, Exception):
                    raise item
                self.finished = isinstance(item, Finished)
                yield item


class Answers(asyncio.Protocol):
    """The head's end: hands out what comes."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, ExpectedAnswer] = {}
        self._partial = b""
        self._transport: asyncio.BaseTransport | None = None
        self._lost: Exception | None = None

    @classmethod
    async def connect(cls, connection: socket.socket) -> Answers:
        """Read from ``connection``, which is closed with the answers."""
        _, answers = await asyncio.get_running_loop().create_unix_connection(cls, sock=connection)
        return answers

    @contextmanager
    def expect(self) -> Iterator[ExpectedAnswer]:
        """Yield an answer with a new number, which gets what comes for it until the block ends.

        A channel that is lost ends it with an OSError.
        """
        answer = ExpectedAnswer(next(self._numbers))
        self._open[answer.number] = answer
        if self._lost is not None:
            answer.put(self._lost)
        try:
            yield answer
        finally:
            del self._open[answer.number]

    def close(self) -> None:
        """Read nothing any more."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to close the channel."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each item to the one who waits for it; a damaged frame ends everything."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        try:
            for number, item in map(decode_frame, lines):
                answer = self._open.get(number)
                if answer is not None:
                    answer.put(item)
        except GenerationError as error:
            self._end(error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all answers."""
        self._end(exc or ConnectionResetError("the runner has closed the connection"))

    def _end(self, reason: Exception) -> None:
        self._lost = self._lost or reason
        for answer in self._open.values():
            answer.put(self._lost)
