"""A least-connections proxy: what people put in front of one llama-server per device today.

python -m benchmarks.serve.proxy PORT URL...
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import aiohttp
import uvloop
from aiohttp import web


class LeastConnections:
    """Passes each request to the server that answers the fewest at present."""

    def __init__(self, session: aiohttp.ClientSession, servers: Sequence[str]) -> None:
        self._session = session
        self._open = dict.fromkeys(servers, 0)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer with what a server answers, as it comes."""
        server = min(self._open, key=self._open.__getitem__)
        self._open[server] += 1
        try:
            return await self._pass_on(request, server)
        finally:
            self._open[server] -= 1

    async def _pass_on(self, request: web.Request, server: str) -> web.StreamResponse:
        kind = {"Content-Type": request.content_type}
        body = await request.read()
        async with self._session.request(request.method, server + request.path, data=body, headers=kind) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response


async def serve(port: int, servers: Sequence[str]) -> None:
    """Run the proxy on the loopback interface until the process is ended."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        app = web.Application()
        app.router.add_get("/health", _health)
        app.router.add_post("/{path:.*}", LeastConnections(session, servers).forward)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


async def _health(_: web.Request) -> web.Response:
    return web.Response()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2:]))
