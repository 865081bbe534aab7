"""Uploading one blob: mounted from another model where possible, else sent in parts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urljoin

from aiohttp import ClientResponse

from pollama.models import names
from pollama.models.blobs import store_errors
from pollama.models.manifest import Layer
from pollama.models.registry.client import RegistryClient
from pollama.models.registry.pacing import RegistryError, retried
from pollama.models.registry.parts import MAX_PARALLEL, Part, divide

_CHUNK: Final = 1 << 20
_BINARY: Final = "application/octet-stream"


class BlobUpload:
    """One blob on its way to a registry."""

    def __init__(self, client: RegistryClient, repository: str, layer: Layer, path: Path) -> None:
        self.total = path.stat().st_size
        self._client = client
        self._start = f"{client.base}/v2/{repository}/blobs/uploads/"
        self._layer = layer
        self._path = path
        self._parts = divide(self.total)
        self._hashes = {part.number: hashlib.md5(usedforsecurity=False) for part in self._parts}

    @property
    def completed(self) -> int:
        """Bytes that the registry has taken."""
        return sum(part.completed for part in self._parts)

    async def run(self) -> None:
        """Upload the blob. Raises RegistryError, and StoreError when it cannot be read."""
        url = await self._begin()
        if url is None:
            for part in self._parts:
                part.completed = part.size
            return
        url = await self._send_parts(url)
        await self._commit(url)

    async def _begin(self) -> str | None:
        """Open an upload and return the URL of its first part; None when the registry has the blob elsewhere."""
        url = self._start
        if self._layer.origin:
            origin = names.parse(self._layer.origin).repository
            url += "?" + urlencode({"from": origin, "mount": self._layer.digest}, safe=":/")
        async with self._client.request("POST", url, headers={"Content-Length": "0"}) as response:
            return None if response.status == 201 else _next_url(response, url)

    async def _send_parts(self, url: str) -> str:
        """Send all parts and return the URL that the upload is completed at."""
        streams = asyncio.Semaphore(MAX_PARALLEL)

        async def send_elsewhere(part: Part, target: str) -> None:
            async with streams:
                await retried(self._client.pace, lambda: self._send_elsewhere(part, target))

        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts:
                    url, target = await self._send(part, url)
                    if target is not None:
                        group.create_task(send_elsewhere(part, target))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return url

    async def _send(self, part: Part, url: str) -> tuple[str, str | None]:
        """Send a part; return the URL of the next one and, if the registry wants this one elsewhere, where."""
        headers = {
            "Content-Type": _BINARY,
            "Content-Length": str(part.size),
            "Content-Range": f"{part.offset}-{part.end - 1}",
            "X-Redirect-Uploads": "1",
        }

        async def attempt() -> tuple[str, str | None]:
            body = lambda: self._read(part)  # noqa: E731
            async with self._client.request_here("PATCH", url, headers=headers, body=body) as response:
                if response.status == 307:
                    return _next_url(response, url), urljoin(url, response.headers.get("Location", ""))
                return _next_url(response, url), None

        return await retried(self._client.pace, attempt)

    async def _send_elsewhere(self, part: Part, target: str) -> None:
        headers = {"Content-Type": _BINARY, "Content-Length": str(part.size)}
        await self._client.put_elsewhere(target, headers, lambda: self._read(part))

    async def _read(self, part: Part) -> AsyncIterator[bytes]:
        """Yield the bytes of a part from its beginning, and count and hash them."""
        part.completed = 0
        digest = self._hashes[part.number] = hashlib.md5(usedforsecurity=False)
        chunks = _chunks(self._path, part)
        while data := await asyncio.to_thread(next, chunks, b""):
            digest.update(data)  # before they are sent: the answer may come before the next are asked for
            part.completed += len(data)
            yield data

    async def _commit(self, url: str) -> None:
        """Complete the upload, naming the digest and the MD5 of the MD5s of its parts."""
        joined = b"".join(self._hashes[part.number].digest() for part in self._parts)
        etag = f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(self._parts)}"
        query = urlencode({"digest": self._layer.digest, "etag": etag}, safe=":")
        target = f"{url}{'&' if '?' in url else '?'}{query}"
        headers = {"Content-Type": _BINARY, "Content-Length": "0"}

        async def attempt() -> None:
            async with self._client.request("PUT", target, headers=headers):
                pass

        await retried(self._client.pace, attempt)


def _chunks(path: Path, part: Part) -> Iterator[bytes]:
    with store_errors(f"blob {path} cannot be read"), path.open("rb") as file:
        file.seek(part.offset)
        left = part.size
        while left and (data := file.read(min(_CHUNK, left))):
            left -= len(data)
            yield data


def _next_url(response: ClientResponse, url: str) -> str:
    location = response.headers.get("Docker-Upload-Location") or response.headers.get("Location")
    if not location:
        raise RegistryError(f"{url}: the registry does not say where to upload to")
    return urljoin(url, location)
