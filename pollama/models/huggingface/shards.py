"""Which shards a stored model was joined from, so that another pull of it does not download them again.

A layer of a type of its own says so: Ollama ignores it, and keeps it in copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from pollama.errors import StoreError
from pollama.models import manifest, media
from pollama.models.folder import StoreFolder
from pollama.models.manifest import Layer
from pollama.models.names import ModelName

_MEDIA_TYPE: Final = "application/vnd.pollama.image.shards"


def joined_weights(folder: StoreFolder, name: ModelName, shards: Sequence[str]) -> Layer | None:
    """Return the stored weights of ``name`` if they were joined from the shards with these digests. Blocks."""
    try:
        stored = manifest.read(folder.path(folder.located(name))).manifest
        records = [folder.blobs.read(layer.digest) for layer in stored.of_type(_MEDIA_TYPE)]
        weights = [layer for layer in stored.of_type(media.MODEL) if folder.blobs.existing(layer.digest)]
    except (FileNotFoundError, StoreError):
        return None
    return weights[-1] if weights and records == [_record(shards)] else None


def remember(folder: StoreFolder, name: ModelName, shards: Sequence[str]) -> None:
    """Note what the weights of ``name`` were joined from. Blocks. Raises StoreError."""
    located = folder.located(name)
    stored = manifest.read(folder.path(located)).manifest
    blob = folder.blobs.put(_record(shards))
    layer = Layer(media_type=_MEDIA_TYPE, digest=blob.digest, size=blob.size)
    noted = msgspec.structs.replace(stored, layers=[*(stored.layers or ()), layer])
    folder.write(located, noted.encoded(), noted)


def _record(shards: Sequence[str]) -> bytes:
    return msgspec.json.encode(list(shards))
