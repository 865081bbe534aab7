"""An HTTP server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self, TypeAlias

from pollama.types.json import Json

Ending: TypeAlias = Literal["complete", "endless", "broken"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    body: Json
    agent: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the records of a body (bytes go out as they are), and how it ends.

    An endless one goes on, in silence, until the client leaves; a broken one ends with the connection.
    """

    status: int
    records: Sequence[Json]
    ending: Ending = "complete"


@dataclass(slots=True)
class Script:
    """Answers by ``METHOD /path``, and what was asked."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    canceled: threading.Event = field(default_factory=threading.Event)
    """Set when a client has left an endless answer."""

    def on(self, route: str, *records: Json, status: int = 200, ending: Ending = "complete") -> Self:
        """Add an answer; the last one of a route is given again and again."""
        self.answers.setdefault(route, []).append(Answer(status, records, ending))
        return self

    def next_answer(self, route: str) -> Answer:
        """Return the answer to a request."""
        answers = self.answers.get(route, [Answer(404, [{"error": f"no answer to {route}"}])])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def bodies(self, path: str) -> list[Json]:
        """Return the bodies that were sent to ``path``."""
        return [request.body for request in self.requests if request.path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = content if self.path.startswith("/api/blobs/") else json.loads(content or b"null")
        self.script.requests.append(
            Request(
                self.command,
                self.path,
                body,
                self.headers.get("User-Agent", ""),
                self.headers.get("Authorization", ""),
            )
        )
        path = "/api/blobs/" if self.path.startswith("/api/blobs/") else self.path.partition("?")[0]
        answer = self.script.next_answer(f"{self.command} {path}")
        self.send_response(answer.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for record in answer.records:
            line = record if isinstance(record, bytes) else f"{json.dumps(record)}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        if answer.ending == "complete":
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
        if answer.ending == "endless":
            self.connection.recv(1)
            self.script.canceled.set()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


class ScriptedServer:
    """Serves a Script on a free port while the block runs."""

    def __init__(self, script: Script) -> None:
        handler = type("Handler", (_Handler,), {"script": script})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
