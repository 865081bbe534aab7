"""Manifests: the JSON files that say which blobs a model is made of."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pollama.errors import StoreError
from pollama.models import media
from pollama.types import gojson
from pollama.types.json import Json


class Layer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One blob of a model. ``origin`` is the model or file that it came from, ``name`` its path in a tensor model."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    origin: str = msgspec.field(default="", name="from")
    name: str = ""

    def encoded(self) -> dict[str, Json]:
        """Return the JSON object of this layer."""
        record: dict[str, Json] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        optional = {"from": self.origin, "name": self.name}
        return record | {key: value for key, value in optional.items() if value}


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The config blob and the layers of a model. ``layers`` None is written as null."""

    schema_version: int = 2
    media_type: str = media.MANIFEST
    config: Layer = Layer()
    layers: list[Layer] | None = None

    @property
    def size(self) -> int:
        """Bytes of all blobs as declared; one that is listed twice counts twice."""
        return self.config.size + sum(layer.size for layer in self.layers or ())

    def of_type(self, *types: str) -> Iterator[Layer]:
        """Return the layers of the given media types, in order."""
        return (layer for layer in self.layers or () if layer.media_type in types)

    def digests(self) -> set[str]:
        """Return the digests of all blobs that this manifest refers to."""
        return {layer.digest for layer in [*(self.layers or ()), self.config] if layer.digest}

    def encoded(self) -> bytes:
        """Return the bytes of the manifest file, as Ollama writes it."""
        layers = None if self.layers is None else [layer.encoded() for layer in self.layers]
        return gojson.dump_line(
            {
                "schemaVersion": self.schema_version,
                "mediaType": self.media_type,
                "config": self.config.encoded(),
                "layers": layers,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A manifest as it lies on disk; ``digest`` is the SHA-256 of the file's bytes (64 hex digits)."""

    path: Path
    manifest: Manifest
    digest: str
    modified_at: float


def read(path: Path) -> ManifestFile:
    """Read one manifest. Raises FileNotFoundError when there is none, StoreError when it cannot be understood."""
    try:
        data = path.read_bytes()
        modified_at = path.stat().st_mtime
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # nothing can have such a name
            raise FileNotFoundError(path) from error
        raise StoreError(f"manifest {path} cannot be read: {error.strerror}") from error
    return ManifestFile(
        path=path,
        manifest=decode(data, str(path)),
        digest=hashlib.sha256(data).hexdigest(),
        modified_at=modified_at,
    )


def decode(data: bytes, source: str) -> Manifest:
    """Return the manifest in ``data``. Raises StoreError, naming ``source`` and the field that is wrong."""
    try:
        value = msgspec.json.decode(data, type=dict[str, Json])
        return msgspec.convert(_without_nulls(value), Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"manifest {source} is damaged: {error}") from error


def _without_nulls(value: Json) -> Json:
    """Drop nulls, which mean the same as absent fields."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
