"""A small registry on the loopback interface, which can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from pollama.models import media

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EMPTY_BODY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()


def digest_of(data: bytes) -> str:
    """Return the name of a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Seen:
    """A request that the registry got."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Registry:
    """What is stored, what was asked, and how to misbehave.

    ``failures``: statuses that are answered next to requests whose method and path match the pattern.
    ``sent``: what is sent instead of a blob. ``stalls``: how many ranges get no more than their first byte.
    ``cdn``: whether blobs are on another port. ``redirects_uploads``: whether parts are to be sent there.
    ``gate``: what ranges wait for after their first byte.
    """

    host: str = ""
    cdn_host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    redirects_uploads: bool = False
    uploads: dict[str, bytearray] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)
    stalls: int = 0
    cdn: bool = False
    ranges: bool = True
    token: str = ""
    realm: str = ""
    gate: asyncio.Event | None = None
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, repository: str, *layers: tuple[str, bytes], config: bytes = b"{}") -> bytes:
        """Store a model and return its manifest, in a form that no JSON writer of pollama makes."""
        entries = [self._entry(kind, data) for kind, data in layers]
        manifest = {"layers": entries, "config": self._entry(media.CONFIG, config), "schemaVersion": 2, "extra": 1.50}
        data = json.dumps(manifest, indent=3).encode()
        self.manifests[f"{repository}/latest"] = data
        return data

    def _entry(self, kind: str, data: bytes) -> dict[str, object]:
        self.blobs[digest_of(data)] = data
        return {"size": len(data), "digest": digest_of(data), "mediaType": kind}

    def count(self, pattern: str) -> int:
        """Return how many requests match ``METHOD path``."""
        return sum(bool(re.search(pattern, f"{seen.method} {seen.path}")) for seen in self.seen)

    def name(self, repository: str = "me/m") -> str:
        """Return how a client names a model of this registry."""
        return f"{self.host}/{repository}"


@asynccontextmanager
async def running_registry() -> AsyncIterator[Registry]:
    """Serve a registry, and the other host that it may redirect to."""
    registry = Registry()
    handler = _Handler(registry)
    app = web.Application(client_max_size=1 << 30, middlewares=[handler.front])
    app.router.add_get("/token", handler.give_token)
    app.router.add_get("/v2/{repository:.+}/manifests/{tag}", handler.get_manifest)
    app.router.add_put("/v2/{repository:.+}/manifests/{tag}", handler.put_manifest)
    app.router.add_post("/v2/{repository:.+}/blobs/uploads/", handler.start_upload)
    app.router.add_patch("/uploads/{number}", handler.take_part)
    app.router.add_put("/uploads/{number}", handler.finish_upload)
    app.router.add_get("/v2/{repository:.+}/blobs/{digest}", handler.get_blob)
    app.router.add_get("/cdn/{digest}", handler.get_blob)
    app.router.add_put("/cdn/{number}", handler.take_redirected_part)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        hosts = []
        for _ in range(2):
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            hosts.append(f"127.0.0.1:{runner.addresses[-1][1]}")
        registry.host, registry.cdn_host = hosts
        yield registry
    finally:
        await runner.cleanup()


class _Handler:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    @web.middleware
    async def front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note the request, misbehave as told and demand a token."""
        registry = self.registry
        registry.seen.append(Seen(request.method, request.path_qs, dict(request.headers)))
        for index, (pattern, status, text) in enumerate(registry.failures):
            if re.search(pattern, f"{request.method} {request.path}"):
                del registry.failures[index]
                return web.Response(status=status, text=text)
        authorized = request.headers.get("Authorization") == f"Bearer {registry.token}"
        if registry.token and request.path.startswith(("/v2/", "/uploads/")) and not authorized:
            realm = registry.realm or f"http://{registry.host}/token?a=1"
            challenge = f'Bearer realm="{realm}",service="reg",scope="repository:me/m:pull two"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return await handler(request)

    async def give_token(self, request: web.Request) -> web.Response:
        """Check the signature and hand out the token."""
        public, signature = request.headers["Authorization"].split(":")
        key = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
        assert isinstance(key, Ed25519PublicKey)
        signed = f"GET,http://{self.registry.host}{request.raw_path},{_EMPTY_BODY}"
        key.verify(base64.b64decode(signature), signed.encode())
        return web.json_response({"token": self.registry.token})

    async def get_manifest(self, request: web.Request) -> web.Response:
        data = self.registry.manifests.get("/".join(request.match_info.values()))
        return web.Response(status=404) if data is None else web.Response(body=data, content_type=media.MANIFEST)

    async def put_manifest(self, request: web.Request) -> web.Response:
        self.registry.manifests["/".join(request.match_info.values())] = await request.read()
        return web.Response(status=201)

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        registry, digest = self.registry, request.match_info["digest"]
        if digest not in registry.blobs:
            return web.Response(status=404)
        if registry.cdn and request.host == registry.host:
            return web.Response(status=307, headers={"Location": f"http://{registry.cdn_host}/cdn/{digest}"})
        data = registry.sent.get(digest, registry.blobs[digest])
        wanted = request.http_range if registry.ranges and "Range" in request.headers else slice(0, None)
        response = web.StreamResponse(status=206 if wanted.start else 200)
        piece = data[wanted]
        response.content_length = len(piece)
        await response.prepare(request)
        if request.method == "GET":
            await self._send(response, piece, "Range" in request.headers)
        return response

    async def _send(self, response: web.StreamResponse, data: bytes, ranged: bool) -> None:
        await response.write(data[:1])
        registry = self.registry
        try:
            if ranged and registry.stalls:
                registry.stalls -= 1
                await asyncio.Event().wait()
            if ranged and registry.gate:
                registry.waiting.set()
                await registry.gate.wait()
        except asyncio.CancelledError:
            registry.left.set()
            raise
        await response.write(data[1:])

    async def start_upload(self, request: web.Request) -> web.Response:
        if request.query.get("mount") in self.registry.blobs:
            return web.Response(status=201)
        number = str(len(self.registry.uploads))
        self.registry.uploads[number] = bytearray()
        return web.Response(status=202, headers={"Location": f"/uploads/{number}?state=x"})

    async def take_part(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if self.registry.redirects_uploads:
            target = f"http://{self.registry.cdn_host}/cdn/{number}"
            following = {"Location": target, "Docker-Upload-Location": str(request.rel_url)}
            return web.Response(status=307, headers=following)
        stored = self.registry.uploads[number]
        data = await request.read()
        first, last = map(int, request.headers["Content-Range"].split("-"))
        assert (first, last - first + 1) == (len(stored), len(data))
        stored += data
        return web.Response(status=202, headers={"Location": str(request.rel_url)})

    async def take_redirected_part(self, request: web.Request) -> web.Response:
        self.registry.uploads[request.match_info["number"]] += await request.read()
        return web.Response()

    async def finish_upload(self, request: web.Request) -> web.Response:
        data = bytes(self.registry.uploads[request.match_info["number"]])
        if digest_of(data) != request.query["digest"]:
            return web.Response(status=400, text="DIGEST_INVALID")
        assert request.query["etag"] == f"{hashlib.md5(hashlib.md5(data).digest()).hexdigest()}-1"
        self.registry.blobs[digest_of(data)] = data
        return web.Response(status=201)
