"""A server on loopback with fakes behind its ports, and a client for it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import ClientSession, web

from pollama.api.app import create_app, create_runner
from pollama.api.services import Services
from tests.api.fakes import FakeInference, FakeLibrary, FakeScheduler, FakeSettings, FakeSteering

ORIGINS = ("http://localhost", "http://localhost:*", "app://*")


@dataclass
class Answer:
    """An answer read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str | None:
        return self.headers.get("Content-Type")


@dataclass
class Api:
    """A running server and what it was built from."""

    base: str
    session: ClientSession
    inference: FakeInference
    library: FakeLibrary
    scheduler: FakeScheduler
    options: dict[str, Any] = field(default_factory=dict)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; a dict becomes a JSON body. Keywords are headers, ``_`` for ``-``."""
        content = {"json": body} if isinstance(body, (dict, list)) else {"data": body}
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self.session.request(
            method, self.base + path, headers=named, allow_redirects=False, **content
        ) as response:
            headers = dict(response.headers)
            vary = response.headers.getall("Vary", [])
            return Answer(response.status, headers | ({"Vary": ", ".join(vary)} if vary else {}), await response.read())

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.send("POST", path, body, **headers)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, **headers)


@pytest.fixture
def services() -> Services:
    """The services of the server under test; a test module may override this fixture."""
    return Services(
        inference=FakeInference(),
        library=FakeLibrary(),
        scheduler=FakeScheduler(),
        steering=FakeSteering(),
        settings=FakeSettings(),
        listen_host="127.0.0.1",
        origins=ORIGINS,
        version="0.0.0",
    )


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone for one test."""

    def choose(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
async def api(services: Services) -> AsyncIterator[Api]:
    inference, library, scheduler = FakeInference(), FakeLibrary(), FakeScheduler()
    app = create_app(replace(services, inference=inference, library=library, scheduler=scheduler))
    runner = create_runner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with ClientSession(skip_auto_headers=["Content-Type"]) as session:
            yield Api(f"http://{host}:{port}", session, inference, library, scheduler)
    finally:
        await runner.cleanup()
