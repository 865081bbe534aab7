"""The downloads of this process, each shared by all pulls that want the same blob."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pollama.models.blobs import BlobStore
from pollama.models.registry.client import RegistryAccess, RegistryClient
from pollama.models.registry.download import BlobDownload, Source


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
