"""A stand-in for the Hugging Face hub: the paths, redirects and error headers that its client library relies on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.models.fixtures import digest_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REVISION = "4" * 40


@dataclass
class HubServer:
    """Repositories by name, each with its files by path. ``large``: what is stored by digest, on another host."""

    url: str = ""
    cdn_url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    fail_after: int | None = None

    def add(self, name: str, files: dict[str, bytes]) -> None:
        self.repositories[name] = files

    def paths(self, method: str) -> list[str]:
        """Return what was asked for, in order."""
        return [path for used, path, _ in self.seen if used == method]


@asynccontextmanager
async def running_hub() -> AsyncIterator[HubServer]:
    """Serve a hub, and the other host that its large files are on."""
    hub = HubServer()
    handler = _Handler(hub)
    app = web.Application(middlewares=[handler.front])
    app.router.add_get("/api/models/{user}/{model}", handler.model_info)
    app.router.add_get("/{user}/{model}/resolve/{revision}/{path:.+}", handler.resolve)
    app.router.add_get("/cdn/{digest}", handler.send)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        addresses = []
        for _ in range(2):
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            addresses.append(f"http://127.0.0.1:{runner.addresses[-1][1]}")
        hub.url, hub.cdn_url = addresses
        yield hub
    finally:
        await runner.cleanup()


def _name(request: web.Request) -> str:
    return f"{request.match_info['user']}/{request.match_info['model']}"


def _is_large(path: str) -> bool:
    return path.endswith(".gguf")


class _Handler:
    def __init__(self, hub: HubServer) -> None:
        self.hub = hub

    @web.middleware
    async def front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note the request; who is not signed in sees neither missing nor private repositories."""
        authorization = request.headers.get("Authorization", "")
        self.hub.seen.append((request.method, request.path_qs, authorization))
        if "model" not in request.match_info:
            return await handler(request)
        private = self.hub.token and authorization != f"Bearer {self.hub.token}"
        if _name(request) not in self.hub.repositories or private:
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return web.json_response(
                {"error": "Repository not found"}, status=404 if authorization else 401, headers=headers
            )
        return await handler(request)

    async def model_info(self, request: web.Request) -> web.Response:
        siblings: list[dict[str, object]] = []
        for path, data in self.hub.repositories[_name(request)].items():
            entry: dict[str, object] = {"rfilename": path, "size": len(data), "blobId": "0" * 40}
            if _is_large(path):
                entry["lfs"] = {"sha256": digest_of(data)[7:], "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        assert request.query["blobs"].lower() == "true"
        return web.json_response({"id": request.path[12:], "sha": REVISION, "siblings": siblings, "private": False})

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        assert request.match_info["revision"] == REVISION
        if _name(request) in self.hub.gated:
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
            return web.Response(status=403, headers=headers)
        path = request.match_info["path"]
        data = self.hub.repositories[_name(request)].get(path)
        if data is None:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        if not _is_large(path):
            return web.Response(body=data, headers={"X-Repo-Commit": REVISION, "ETag": '"0"'})
        linked = {
            "X-Repo-Commit": REVISION,
            "X-Linked-Size": str(len(data)),
            "X-Linked-Etag": f'"{digest_of(data)[7:]}"',
        }
        return web.Response(
            status=302, headers={"Location": f"{self.hub.cdn_url}/cdn/{digest_of(data)}?Signature=x", **linked}
        )

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send a range of a large file; signed addresses are for GET only, as those of object stores."""
        if request.method != "GET":
            return web.Response(status=403)
        stored = (data for files in self.hub.repositories.values() for data in files.values())
        data = next(data for data in stored if digest_of(data) == request.match_info["digest"])
        piece = data[request.http_range]
        response = web.StreamResponse(status=206)
        response.content_length = len(piece)
        await response.prepare(request)
        if self.hub.fail_after is not None:
            await response.write(piece[: self.hub.fail_after])
            self.hub.fail_after = None
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(piece)
        return response
