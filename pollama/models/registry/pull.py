"""The sequence of a pull: manifest, blobs, verification, and what the new version no longer needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

from pollama.errors import BadRequestError, PollamaError, StoreError
from pollama.models import manifest, media
from pollama.models.folder import StoreFolder
from pollama.models.manifest import Layer, Manifest
from pollama.models.names import ModelName
from pollama.models.registry.client import MAX_MANIFEST_BYTES, RegistryAccess, RegistryClient
from pollama.models.registry.download import Source
from pollama.models.registry.fetch import Fetcher
from pollama.models.registry.pacing import RegistryError
from pollama.types.events import Progress
from pollama.types.human import human_bytes

_NO_TENSORS: Final = "this model requires MLX support, but the MLX runtime is not available"


class Puller:
    """Pulls models into one store."""

    def __init__(self, folder: StoreFolder, access: RegistryAccess, fetcher: Fetcher) -> None:
        self._folder = folder
        self._access = access
        self._fetcher = fetcher

    async def run(self, name: ModelName, base: str, *, prune: bool) -> AsyncGenerator[Progress, None]:
        """Pull ``name`` from the registry at ``base``; ``prune`` removes blobs that only the old version used.

        Raises RegistryError and StoreError.
        """
        yield Progress(status="pulling manifest")
        async with self._access.connect(base) as client:
            data, wanted = await _manifest(client, name)
            sources = [_source(client, name, layer) for layer in self._checked(wanted, name)]
            await asyncio.to_thread(self._fetcher.check_space, sources)
            for source in sources:
                async with aclosing(self._fetcher.fetch(client, source)) as steps:
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


def _source(client: RegistryClient, name: ModelName, layer: Layer) -> Source:
    url = f"{client.base}/v2/{name.repository}/blobs/{layer.digest}"
    return Source(url=url, digest=layer.digest, size=layer.size)


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
