"""Downloading a blob: in parallel parts, resumed and verified."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import aiohttp
import msgspec

from pollama.models.blobs import BlobStore, publish, store_errors
from pollama.models.registry.client import RegistryClient
from pollama.models.registry.hashing import PrefixHash
from pollama.models.registry.pacing import RegistryError, StalledError, TransientError, retried
from pollama.models.registry.parts import MAX_PARALLEL, Part, PartialFiles, divide
from pollama.models.threads import beside, to_its_end

_log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 20
_WRITE_BYTES: Final = 1 << 20
"""Bytes that are gathered before a thread is troubled with them."""
_MAX_PIECES: Final = 1024
"""Pieces that POSIX lets one call write."""
_LOCK_SECONDS: Final = 1.0
_SAVED_BYTES: Final = 32 << 20
"""Bytes after which the state of the parts is written down, so that a crash loses little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A blob and the URL that it is asked for at. ``size`` in bytes; unless it is ``exact``, the server is asked."""

    url: str
    digest: str
    size: int
    exact: bool = False


class BlobDownload:
    """One blob on its way into the store. ``completed`` and ``total`` are bytes; both grow while it runs."""

    def __init__(self, store: BlobStore, source: Source) -> None:
        self.digest = source.digest
        self.total = source.size
        self._source = source
        self._store = store
        self._path = store.path(source.digest)
        self._files = PartialFiles(self._path)
        self._parts: list[Part] = []
        self._direct = ""
        self._grown = asyncio.Event()
        self._saved = 0
        self._save_soon = asyncio.Event()

    @property
    def completed(self) -> int:
        """Bytes that are on disk."""
        return sum(part.completed for part in self._parts)

    async def run(self, client: RegistryClient) -> None:
        """Download and verify. What came before a failure stays for the next attempt.

        Raises RegistryError, and StoreError when the bytes cannot be written.
        """
        with store_errors(f"blob {self._path} cannot be downloaded"):
            descriptor = await self._open(client)
            try:
                if not self._store.touch(self.digest):  # nor has another process downloaded it meanwhile
                    await self._complete(client, descriptor)
            finally:
                if not self._parts:  # nothing has come, or another process was faster
                    self._files.remove()
                os.close(descriptor)

    async def _open(self, client: RegistryClient) -> int:
        """Open the unfinished file; wait while another process downloads the same blob."""
        self._store.folder.mkdir(parents=True, exist_ok=True)
        while (descriptor := self._files.open()) is None:
            await client.pace.sleep(_LOCK_SECONDS)
        return descriptor

    async def _complete(self, client: RegistryClient, descriptor: int) -> None:
        self._parts = self._files.load()
        if not self._parts:
            if not self._source.exact:
                self.total = await retried(client.pace, lambda: _size(client, self._source))
            self._parts = divide(self.total)
            await asyncio.to_thread(self._files.begin, self._parts)
        self.total = sum(part.size for part in self._parts)
        os.ftruncate(descriptor, self.total)
        hashed = PrefixHash(descriptor)
        async with beside(self._save_all(descriptor)):
            await self._fetch_all(client, descriptor, hashed)
        await self._verify(hashed)
        await to_its_end(lambda: publish(self._files.data, descriptor, self._path))
        await asyncio.to_thread(self._files.forget)

    async def _fetch_all(self, client: RegistryClient, descriptor: int, hashed: PrefixHash) -> None:
        """Fetch all parts, and hash what has come meanwhile.

        A stream begins when the one before has finished or is slow: where one stream is fast enough, the file grows
        from its beginning and hashing keeps up with it.
        """
        streams = asyncio.Semaphore(MAX_PARALLEL)

        async def fetch(part: Part) -> None:
            async with streams:
                await retried(client.pace, lambda: self._attempt(client, part, descriptor))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hash_all(hashed))
                for part in self._parts:
                    if part.completed < part.size:
                        await asyncio.wait({group.create_task(fetch(part))}, timeout=client.pace.slow)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _hash_all(self, hashed: PrefixHash) -> None:
        while hashed.position < self.total:
            await hashed.advance(self._prefix())
            if self._prefix() == hashed.position < self.total:
                self._grown.clear()
                await self._grown.wait()

    async def _save_all(self, descriptor: int) -> NoReturn:
        """Remember now and then how far the parts have come, once the disk has what they say."""
        while True:
            await self._save_soon.wait()
            self._save_soon.clear()
            self._saved = self.completed
            states = [msgspec.structs.replace(part) for part in self._parts]
            await to_its_end(lambda: os.fdatasync(descriptor))
            for state in states:
                self._files.save(state)

    def _prefix(self) -> int:
        """Return how many bytes there are from the beginning of the file without a gap."""
        first = next((part for part in self._parts if part.completed < part.size), None)
        return first.position if first else self.total

    async def _attempt(self, client: RegistryClient, part: Part, descriptor: int) -> None:
        """Fetch what is missing of a part; where its bytes come from is asked anew after every failure."""
        try:
            source = self._direct = self._direct or await client.direct_url(self._source.url)
            async with client.range(source, part.position, part.end - 1) as response:
                await self._receive(response, part, descriptor)
        except TransientError as error:
            self._direct = ""
            if isinstance(error, StalledError):
                _log.warning("%s part %d stalled; retrying", self.digest[7:19], part.number)
            raise
        finally:
            self._files.save(part)

    async def _receive(self, response: aiohttp.ClientResponse, part: Part, descriptor: int) -> None:
        await _skip_to(response, part.position)
        pending: list[bytes] = []
        waiting = 0
        missing = part.size - part.completed
        try:
            while missing:
                data = (await _next_piece(response.content))[:missing]
                pending.append(data)
                missing -= len(data)
                waiting += len(data)
                if waiting >= _WRITE_BYTES or len(pending) == _MAX_PIECES:
                    await self._keep(part, pending, descriptor)
                    pending, waiting = [], 0
        finally:
            await self._keep(part, pending, descriptor)

    async def _keep(self, part: Part, pieces: list[bytes], descriptor: int) -> None:
        """Write what has arrived."""
        part.completed += await to_its_end(lambda: _write(descriptor, pieces, part.position))
        self._grown.set()
        if self.completed >= self._saved + _SAVED_BYTES:
            self._save_soon.set()

    async def _verify(self, hashed: PrefixHash) -> None:
        """Compare the digest; bytes that are not the right ones are removed."""
        if hashed.digest != self.digest.replace("-", ":", 1).lower():
            await asyncio.to_thread(self._files.remove)
            text = "digest mismatch, file must be downloaded again"
            raise RegistryError(f"{text}: want {self.digest}, got {hashed.digest}")


def unfinished_bytes(path: Path) -> int:
    """Return how many bytes of the blob at ``path`` an earlier, unfinished download has left."""
    return sum(part.completed for part in PartialFiles(path).load())


async def _size(client: RegistryClient, source: Source) -> int:
    """Return the size that the server states, or that of the manifest where it states none."""
    async with client.request("HEAD", source.url) as response:
        stated = response.headers.get("Content-Length", "")
        return int(stated) if stated.isdecimal() else source.size


async def _skip_to(response: aiohttp.ClientResponse, position: int) -> None:
    """Drop what comes before ``position`` when the server sends the whole blob instead of a range."""
    missing = 0 if response.status == 206 else position
    while missing:
        data = await response.content.read(min(_CHUNK, missing))
        if not data:
            raise TransientError("unexpected EOF")
        missing -= len(data)


async def _next_piece(content: aiohttp.StreamReader) -> bytes:
    """Return what has arrived, as it did: to join pieces would copy them. Raises TransientError at the end."""
    data, ended = b"", True
    while not data and ended:  # ``ended`` is a chunk of the transfer encoding; its end comes without data
        data, ended = await content.readchunk()
    if not data:
        raise TransientError("unexpected EOF")
    return data


def _write(descriptor: int, pieces: list[bytes], offset: int) -> int:
    """Write ``pieces`` one after the other from ``offset`` on and return how many bytes they have."""
    with store_errors("blob cannot be written"):
        written = os.pwritev(descriptor, pieces, offset)
        rest = memoryview(b"".join(pieces))[written:] if written < sum(map(len, pieces)) else memoryview(b"")
        while rest:
            count = os.pwrite(descriptor, rest, offset + written)
            rest, written = rest[count:], written + count
    return written
