"""Downloading blobs: in parallel parts, resumed, verified, and shared by all pulls that want the same one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import aiohttp

from pollama.models.blobs import BlobStore, publish, store_errors
from pollama.models.registry.client import RegistryAccess, RegistryClient
from pollama.models.registry.pacing import RegistryError, StalledError, TransientError, retried
from pollama.models.registry.parts import MAX_PARALLEL, Part, PartialFiles, divide

_log = logging.getLogger(__name__)

P = ParamSpec("P")
Result = TypeVar("Result")

_CHUNK: Final = 1 << 20
_WRITE_BYTES: Final = 4 << 20
"""Bytes that are gathered before a thread is troubled with them."""
_HASH_CHUNK: Final = 32 << 20
_LOCK_SECONDS: Final = 1.0
_SAVED_BYTES: Final = 32 << 20
"""Bytes of a part after which its state is written down, so that a crash loses no more."""


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
        await self._fetch_all(client, descriptor)
        await self._verify(descriptor)
        await _whole(publish, self._files.data, descriptor, self._path)
        await asyncio.to_thread(self._files.forget)

    async def _fetch_all(self, client: RegistryClient, descriptor: int) -> None:
        streams = asyncio.Semaphore(MAX_PARALLEL)

        async def fetch(part: Part) -> None:
            async with streams:
                await retried(client.pace, lambda: self._attempt(client, part, descriptor))

        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts:
                    if part.completed < part.size:
                        group.create_task(fetch(part))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

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
        missing = part.size - part.completed
        try:
            while missing:
                data = (await response.content.readany())[:missing]
                if not data:
                    raise TransientError("unexpected EOF")
                pending.append(data)
                missing -= len(data)
                if sum(map(len, pending)) >= _WRITE_BYTES:
                    pending = await self._keep(part, pending, descriptor)
        finally:
            await self._keep(part, pending, descriptor)

    async def _keep(self, part: Part, pieces: list[bytes], descriptor: int) -> list[bytes]:
        """Write what has arrived, remember that now and then, and return an empty list for what comes next."""
        before = part.completed
        part.completed += await _whole(_write, descriptor, pieces, part.position)
        if part.completed // _SAVED_BYTES > before // _SAVED_BYTES:
            self._files.save(part)
        return []

    async def _verify(self, descriptor: int) -> None:
        """Compare the digest; bytes that are not the right ones are removed."""
        got = await _digest(descriptor)
        if got != self.digest.replace("-", ":", 1).lower():
            await asyncio.to_thread(self._files.remove)
            text = "digest mismatch, file must be downloaded again"
            raise RegistryError(f"{text}: want {self.digest}, got {got}")


class SharedDownloads:
    """The downloads of this process: everybody who wants a blob waits for the same one."""

    def __init__(self, store: BlobStore, access: RegistryAccess) -> None:
        self._store = store
        self._access = access
        self._running: dict[str, _Shared] = {}

    @asynccontextmanager
    async def join(self, client: RegistryClient, source: Source) -> AsyncIterator[_Shared]:
        """Begin or join the download of a blob; it is stopped when the last who joined has left."""
        shared = await self._joined(client, source)
        try:
            yield shared
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                shared.task.cancel()
                await asyncio.wait({shared.task})

    async def _joined(self, client: RegistryClient, source: Source) -> _Shared:
        """Return the download that runs, or a new one once none does that is being stopped."""
        while (shared := self._running.get(source.digest)) and not shared.waiting:
            await asyncio.wait({shared.task})
        if shared is None:
            download = BlobDownload(self._store, source)
            shared = self._running[source.digest] = _Shared(download, self._start(download, client))
        shared.waiting += 1
        return shared

    def _start(self, download: BlobDownload, client: RegistryClient) -> asyncio.Task[None]:
        """Download with a connection of its own, which outlives the pull that began it."""

        async def run() -> None:
            async with self._access.connect(client.base, client.token) as own:
                await download.run(own)

        task = asyncio.create_task(run(), name=f"download {download.digest}")
        task.add_done_callback(lambda task: self._forget(download.digest, task))
        return task

    def _forget(self, digest: str, task: asyncio.Task[None]) -> None:
        del self._running[digest]
        if not task.cancelled():
            task.exception()  # whoever still waits is told; nobody may


class _Shared:
    """A download and how many wait for it."""

    def __init__(self, download: BlobDownload, task: asyncio.Task[None]) -> None:
        self.download = download
        self.task = task
        self.waiting = 0

    async def finished(self, seconds: float) -> bool:
        """Wait for at most ``seconds``. Raises what ended the download."""
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        if done:
            self.task.result()
        return bool(done)


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


def _write(descriptor: int, pieces: list[bytes], offset: int) -> int:
    """Write ``pieces`` one after the other from ``offset`` on and return how many bytes they have."""
    start = offset
    with store_errors("blob cannot be written"):
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[written:], offset + written
    return offset - start


async def _digest(descriptor: int) -> str:
    """Hash a file in steps, between which the download can be stopped."""
    total, position = hashlib.sha256(), 0
    while data := await _whole(os.pread, descriptor, _HASH_CHUNK, position):
        await asyncio.to_thread(total.update, data)
        position += len(data)
    return f"sha256:{total.hexdigest()}"


async def _whole(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Run ``function`` in a thread; when cancelled, let it finish first, as its file is closed right after."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    finally:
        await asyncio.wait({work})
