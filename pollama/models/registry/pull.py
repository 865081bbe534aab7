"""The sequence of a pull: manifest, blobs, verification, and what the new version no longer needs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

from pollama.errors import BadRequestError, PollamaError, StoreError
from pollama.models import manifest, media
from pollama.models.blobs import store_errors
from pollama.models.folder import StoreFolder
from pollama.models.manifest import Layer, Manifest
from pollama.models.names import ModelName
from pollama.models.registry.client import MAX_MANIFEST_BYTES, RegistryAccess, RegistryClient
from pollama.models.registry.download import SharedDownloads, unfinished_bytes
from pollama.models.registry.pacing import RegistryError
from pollama.types.events import Progress
from pollama.types.human import human_bytes

_NO_TENSORS: Final = "this model requires MLX support, but the MLX runtime is not available"


class Puller:
    """Pulls models into one store."""

    def __init__(self, folder: StoreFolder, access: RegistryAccess) -> None:
        self._folder = folder
        self._access = access
        self._downloads = SharedDownloads(folder.blobs, access)

    async def run(self, name: ModelName, base: str, *, prune: bool) -> AsyncGenerator[Progress, None]:
        """Pull ``name`` from the registry at ``base``; ``prune`` removes blobs that only the old version used.

        Raises RegistryError and StoreError.
        """
        yield Progress(status="pulling manifest")
        async with self._access.connect(base) as client:
            data, wanted = await _manifest(client, name)
            blobs = list(self._checked(wanted, name))
            await asyncio.to_thread(self._check_space, blobs)
            for layer in blobs:
                async with aclosing(self._fetch(client, name, layer)) as steps:
                    async for step in steps:
                        yield step
        yield Progress(status="verifying sha256 digest")
        yield Progress(status="writing manifest")
        unused = await asyncio.to_thread(self._install, name, data, wanted)
        if prune and unused:
            yield await asyncio.to_thread(self._discard, unused)
        yield Progress(status="success")

    def _checked(self, wanted: Manifest, name: ModelName) -> Iterator[Layer]:
        """Yield the layers and then the config. Raises RegistryError for a model that cannot be stored."""
        config = [wanted.config] if wanted.config.digest else []
        for layer in [*(wanted.layers or ()), *config]:
            if not layer.digest:
                raise RegistryError(f"{name.repository}: digest is empty")
            if layer.media_type == media.TENSOR:
                raise RegistryError(_NO_TENSORS)
            try:
                self._folder.blobs.path(layer.digest)
            except BadRequestError as error:
                raise RegistryError(f"pull model manifest: digest {layer.digest!r}: {error}") from error
            yield layer

    def _check_space(self, layers: list[Layer]) -> None:
        """Raise StoreError when the disk has no room for what is still to be downloaded."""
        blobs = self._folder.blobs
        sizes = {layer.digest: layer.size for layer in layers}
        missing = {digest: size for digest, size in sizes.items() if not blobs.path(digest).is_file()}
        needed = sum(size - unfinished_bytes(blobs.path(digest)) for digest, size in missing.items())
        with store_errors(f"free space below {self._folder.root} cannot be read"):
            blobs.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(blobs.folder).free
        if needed > free:
            raise StoreError(
                f"not enough disk space below {self._folder.root}: "
                f"{human_bytes(needed)} to download, {human_bytes(free)} free"
            )

    async def _fetch(self, client: RegistryClient, name: ModelName, layer: Layer) -> AsyncGenerator[Progress, None]:
        """Bring one blob into the store, if it is not there."""
        digest = layer.digest
        status = f"pulling {digest[7:19]}"
        if await asyncio.to_thread(self._folder.blobs.touch, digest):
            size = self._folder.blobs.path(digest).stat().st_size
            yield Progress(status=status, digest=digest, total=size, completed=size)
            return
        url = f"{client.base}/v2/{name.repository}/blobs/{digest}"
        async with self._downloads.join(client, url, digest, layer.size) as shared:
            running = True
            while running:
                running = not await shared.finished(client.pace.progress)
                download = shared.download
                yield Progress(status=status, digest=digest, total=download.total, completed=download.completed)

    def _install(self, name: ModelName, data: bytes, wanted: Manifest) -> set[str]:
        """Put the manifest in place and return the blobs of the one before that it does not need."""
        located = self._folder.located(name)
        before = self._folder.digests_of(located)
        self._folder.write(located, data, wanted)
        return before - wanted.digests()

    def _discard(self, digests: set[str]) -> Progress:
        try:
            self._folder.discard(digests)
        except StoreError as error:
            return Progress(status=f"couldn't remove unused layers: {error}")
        return Progress(status="removing unused layers")


async def _manifest(client: RegistryClient, name: ModelName) -> tuple[bytes, Manifest]:
    """Return the bytes of a manifest and what they mean."""
    url = f"{client.base}/v2/{name.repository}/manifests/{name.tag}"
    try:
        async with client.request("GET", url, headers={"Accept": media.MANIFEST}) as response:
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > MAX_MANIFEST_BYTES:
                    raise RegistryError(f"manifest {url} is larger than {human_bytes(MAX_MANIFEST_BYTES)}")
        return bytes(data), manifest.decode(bytes(data), url)
    except PollamaError as error:
        raise RegistryError(f"pull model manifest: {error}") from error
