"""How the server treats answers that are under way when it is told to stop."""

from __future__ import annotations

import asyncio
import selectors

import pytest
from aiohttp import web

from pollama.api.app import create_runner


class SkippingSelector(selectors.DefaultSelector):
    """Counts the seconds that nothing would happen in, and does not wait them."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where it would wait."""

    def __init__(self) -> None:
        self._clock = SkippingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.skipped


async def stop_under(seconds_of_answer: float) -> tuple[float, bytes]:
    """Stop a server that is answering; return how long that took and what the client got."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(seconds_of_answer)
        await response.write(b"whole")
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = create_runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    started = asyncio.get_running_loop().time()
    await runner.cleanup()
    took = asyncio.get_running_loop().time() - started
    got = await reader.read()
    writer.close()
    return took, got


@pytest.mark.parametrize(
    ("answer", "drain", "whole"), [(3.0, 3.0, True), (60.0, 5.0, False)], ids=["in time", "too late"]
)
def test_answers_under_way_have_five_seconds(answer: float, drain: float, *, whole: bool) -> None:
    with asyncio.Runner(loop_factory=SkippingLoop) as run:
        took, got = run.run(stop_under(answer))
    assert took == pytest.approx(drain, abs=0.1)
    assert (b"whole" in got) is whole
