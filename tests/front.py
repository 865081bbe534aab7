"""A reverse proxy on the loopback interface that lets a real server misbehave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_CHUNK = 1 << 20


@dataclass
class Front:
    """A proxy before ``upstream`` (both ``host:port``), and how it misbehaves.

    ``seen``: method and path of each request. ``failures``: statuses that are answered next to requests which match the
    pattern. ``stalls``: after how many bytes the next blobs stop. ``redirects``: whether blobs are upstream only.
    ``rate``: bytes per second of all answers together, 0 = as fast as it goes.
    """

    upstream: str
    host: str = ""
    failures: list[tuple[str, int]] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)
    redirects: bool = False
    rate: float = 0
    free_at: float = 0
    seen: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or misbehave."""
        line = f"{request.method} {request.path}"
        self.seen.append(line)
        if "Range" in request.headers:
            self.ranges.append(request.headers["Range"])
        for index, (pattern, status) in enumerate(self.failures):
            if re.search(pattern, line):
                del self.failures[index]
                return web.Response(status=status, text="later")
        if self.redirects and re.search("^GET .*/blobs/", line):
            return web.Response(status=307, headers={"Location": f"http://{self.upstream}{request.path_qs}"})
        return await self._forward(request)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"http://{self.upstream}{request.path_qs}",
                headers=request.headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer,
        ):
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            await response.prepare(request)
            limit = self.stalls.pop(0) if self.stalls and "Range" in request.headers else None
            sent = 0
            async for chunk in answer.content.iter_chunked(_CHUNK):
                if limit is not None and sent + len(chunk) > limit:
                    await response.write(chunk[: limit - sent])
                    await asyncio.Event().wait()
                await response.write(chunk)
                sent += len(chunk)
                await self._wait(len(chunk))
            return response

    async def _wait(self, size: int) -> None:
        """Wait as long as a line of this rate is busy with ``size`` bytes."""
        if self.rate:
            now = asyncio.get_running_loop().time()
            self.free_at = max(now, self.free_at) + size / self.rate
            await asyncio.sleep(self.free_at - now)


@asynccontextmanager
async def running_front(upstream: str) -> AsyncIterator[Front]:
    """Serve a proxy before the server at ``upstream``."""
    front = Front(upstream)
    app = web.Application(client_max_size=1 << 40)
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        front.host = f"127.0.0.1:{runner.addresses[0][1]}"
        yield front
    finally:
        await runner.cleanup()
