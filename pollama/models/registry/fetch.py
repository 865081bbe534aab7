"""Bringing the blobs of a pull into the store, with the progress that its clients are told."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterable

from pollama.errors import StoreError
from pollama.models.blobs import store_errors
from pollama.models.folder import StoreFolder
from pollama.models.registry.client import RegistryAccess, RegistryClient
from pollama.models.registry.download import Source, unfinished_bytes
from pollama.models.registry.shared import SharedDownloads
from pollama.types.events import Progress
from pollama.types.human import human_bytes


class Fetcher:
    """Downloads blobs into one store, each once however many pulls want it."""

    def __init__(self, folder: StoreFolder, access: RegistryAccess) -> None:
        self._folder = folder
        self._downloads = SharedDownloads(folder.blobs, access)

    def check_space(self, sources: Iterable[Source], *, beside: int = 0) -> None:
        """Raise StoreError when the disk has no room for what is missing, and for ``beside`` bytes more. Blocks."""
        blobs = self._folder.blobs
        sizes = {source.digest: source.size for source in sources}
        missing = {digest: size for digest, size in sizes.items() if not blobs.path(digest).is_file()}
        needed = beside + sum(size - unfinished_bytes(blobs.path(digest)) for digest, size in missing.items())
        with store_errors(f"free space below {self._folder.root} cannot be read"):
            blobs.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(blobs.folder).free
        if needed > free:
            raise StoreError(
                f"not enough disk space below {self._folder.root}: "
                f"{human_bytes(needed)} to download, {human_bytes(free)} free"
            )

    async def fetch(self, client: RegistryClient, source: Source) -> AsyncGenerator[Progress, None]:
        """Bring one blob into the store, if it is not there. Raises RegistryError and StoreError."""
        digest = source.digest
        status = f"pulling {digest[7:19]}"
        if await asyncio.to_thread(self._folder.blobs.touch, digest):
            size = self._folder.blobs.path(digest).stat().st_size
            yield Progress(status=status, digest=digest, total=size, completed=size)
            return
        async with self._downloads.join(client, source) as shared:
            running = True
            while running:
                running = not await shared.finished(client.pace.progress)
                download = shared.download
                yield Progress(status=status, digest=digest, total=download.total, completed=download.completed)
