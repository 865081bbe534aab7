"""The sequence of a push: blobs that the registry does not have, then the manifest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from pollama.errors import PollamaError
from pollama.models import manifest, media
from pollama.models.folder import StoreFolder
from pollama.models.manifest import Layer, Manifest
from pollama.models.names import ModelName
from pollama.models.registry.client import RegistryAccess, RegistryClient
from pollama.models.registry.pacing import MissingError
from pollama.models.registry.upload import BlobUpload
from pollama.types.events import Progress


async def push(
    folder: StoreFolder, access: RegistryAccess, name: ModelName, base: str
) -> AsyncGenerator[Progress, None]:
    """Push ``name`` to the registry at ``base``. Raises PollamaError when there is no such model, RegistryError."""
    yield Progress(status="retrieving manifest")
    try:
        stored = await asyncio.to_thread(_stored, folder, name)
    except PollamaError:
        yield Progress(status="couldn't retrieve manifest")
        raise
    config = [stored.config] if stored.config.digest else []
    async with access.connect(base) as client:
        for layer in [*(stored.layers or ()), *config]:
            async with aclosing(_send(client, name, layer, folder.blobs.existing(layer.digest))) as steps:
                async for step in steps:
                    yield step
        yield Progress(status="pushing manifest")
        await _put_manifest(client, name, stored)
    yield Progress(status="success")


def _stored(folder: StoreFolder, name: ModelName) -> Manifest:
    """Return the manifest of ``name``. Raises PollamaError when there is none, StoreError for a damaged one."""
    if not name.is_valid:
        raise PollamaError(f"push {name}: invalid model name")
    path = folder.path(folder.located(name))
    try:
        return manifest.read(path).manifest
    except FileNotFoundError:
        raise PollamaError(f"open {path}: no such file or directory") from None


async def _send(client: RegistryClient, name: ModelName, layer: Layer, path: Path) -> AsyncGenerator[Progress, None]:
    """Upload one blob, unless the registry has it."""
    status, digest = f"pushing {layer.digest[7:19]}", layer.digest
    if await _is_there(client, name, digest):
        yield Progress(status=status, digest=digest, total=layer.size, completed=layer.size)
        return
    upload = BlobUpload(client, name.repository, layer, path)
    task = asyncio.create_task(upload.run(), name=f"upload {digest}")
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=client.pace.progress)
            yield Progress(status=status, digest=digest, total=upload.total, completed=upload.completed)
        task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it has been raised, or the client is gone


async def _is_there(client: RegistryClient, name: ModelName, digest: str) -> bool:
    try:
        async with client.request("HEAD", f"{client.base}/v2/{name.repository}/blobs/{digest}"):
            return True
    except MissingError:
        return False


async def _put_manifest(client: RegistryClient, name: ModelName, stored: Manifest) -> None:
    url = f"{client.base}/v2/{name.repository}/manifests/{name.tag}"
    data = stored.encoded().rstrip(b"\n")
    async with client.request("PUT", url, headers={"Content-Type": media.MANIFEST}, body=lambda: data):
        pass
