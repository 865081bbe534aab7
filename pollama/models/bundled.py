"""Models that come with pollama: a pull takes them from the package instead of a registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pollama.models.blobs import BlobStore, Stored
from pollama.types.events import Progress
from pollama.types.json import Json
from pollama.types.library import CreateRequest

_CHUNK: Final = 1 << 20

Create = Callable[[CreateRequest], AsyncIterator[Progress]]


@dataclass(frozen=True, slots=True)
class Bundled:
    """A model inside the package: its GGUF, and the parameters that it is stored with."""

    weights: Path
    parameters: Mapping[str, Json] = field(default_factory=dict)


async def pull_bundled(name: str, model: Bundled, blobs: BlobStore, create: Create) -> AsyncGenerator[Progress, None]:
    """Put a bundled model into the store, with the progress of a pull. Raises StoreError when it cannot be written."""
    yield Progress(status="pulling manifest")
    blob = await asyncio.to_thread(_store, model.weights, blobs)
    status = f"pulling {blob.digest.removeprefix('sha256:')[:12]}"
    yield Progress(status=status, digest=blob.digest, total=blob.size, completed=blob.size)
    yield Progress(status="verifying sha256 digest")
    files = {model.weights.name: blob.digest}
    async for _ in create(CreateRequest(model=name, files=files, parameters=dict(model.parameters))):
        pass
    yield Progress(status="writing manifest")
    yield Progress(status="success")


def _store(weights: Path, blobs: BlobStore) -> Stored:
    with blobs.writer() as writer:
        for chunk in _chunks(weights):
            writer.write(chunk)
        return writer.commit()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
