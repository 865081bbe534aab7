"""From a manifest to everything that it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from pollama.errors import StoreError
from pollama.models import config, gguf, media
from pollama.models.blobs import BlobStore
from pollama.models.manifest import Layer, Manifest, ManifestFile
from pollama.models.names import ModelName
from pollama.models.spec import model_spec
from pollama.types.json import Json
from pollama.types.messages import Message
from pollama.types.model import ModelConfig, ModelSpec, StoredModel

_GGUF_FORMATS = ("", "gguf")


def load(name: ModelName, file: ManifestFile, blobs: BlobStore) -> StoredModel:
    """Read all that a manifest refers to. Raises StoreError or WeightsError, naming the blob that is wrong."""
    manifest = file.manifest
    image = read_config(manifest, blobs)
    weights = _last(manifest, media.MODEL, blobs)
    projectors = _paths(manifest, media.PROJECTOR, blobs)
    template = _last_text(manifest, blobs, media.TEMPLATE, media.PROMPT)
    return StoredModel(
        name=str(name),
        short_name=name.short,
        digest=file.digest,
        size=manifest.size,
        modified_at=file.modified_at,
        config=image,
        spec=_spec(image, weights),
        weights=weights,
        projectors=projectors,
        adapters=_paths(manifest, media.ADAPTER, blobs),
        draft=_last(manifest, media.DRAFT, blobs),
        parent=parent(manifest),
        template=template,
        system=_last_text(manifest, blobs, media.SYSTEM) or "",
        licenses=tuple(_texts(manifest, blobs, media.LICENSE)),
        parameters=read_parameters(manifest, blobs),
        messages=tuple(read_messages(manifest, blobs)),
        projector_has_audio=any(_has_audio(path) for path in projectors),
        projector_type=_projector_type(projectors),
    )


def read_config(manifest: Manifest, blobs: BlobStore) -> ModelConfig:
    """Return the config of a manifest; one without a config blob has an empty one."""
    digest = manifest.config.digest
    if not digest:
        return ModelConfig()
    return config.decode(blobs.read(digest), str(blobs.path(digest)))


def parent(manifest: Manifest) -> str:
    """Return the model that the weights were taken from, "" when they were imported."""
    origins = [layer.origin for layer in manifest.of_type(media.MODEL)]
    return origins[-1] if origins else ""


def read_parameters(manifest: Manifest, blobs: BlobStore) -> dict[str, Json]:
    """Return the options that the model sets; with several layers later values win."""
    values: dict[str, Json] = {}
    for layer in manifest.of_type(media.PARAMETERS):
        values |= _decoded(layer, blobs, dict[str, Json])
    return values


def read_messages(manifest: Manifest, blobs: BlobStore) -> list[Message]:
    """Return the preset messages of the model."""
    messages: list[Message] = []
    for layer in manifest.of_type(media.MESSAGES):
        records = _decoded(layer, blobs, list[dict[str, Json]])
        messages = [_message(record, layer) for record in records]
    return messages


def _message(record: dict[str, Json], layer: Layer) -> Message:
    role, content = record.get("role") or "", record.get("content") or ""
    if not isinstance(role, str) or not isinstance(content, str):
        raise StoreError(f"messages in blob {layer.digest} are damaged: role and content must be texts")
    return Message(role=role.lower(), content=content)


def _decoded(layer: Layer, blobs: BlobStore, form: type) -> Json:
    try:
        return msgspec.json.decode(blobs.read(layer.digest), type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"blob {blobs.path(layer.digest)} ({layer.media_type}) is damaged: {error}") from error


def _spec(image: ModelConfig, weights: Path | None) -> ModelSpec | None:
    if weights is None or image.model_format not in _GGUF_FORMATS:
        return None
    status = weights.stat()
    return _spec_of(weights, status.st_size, status.st_ino)


@lru_cache(maxsize=1024)
def _spec_of(weights: Path, size: int, inode: int) -> ModelSpec:
    """Return the facts of a GGUF, which several models may share; ``size`` and ``inode`` tell a replaced file."""
    del size, inode
    return model_spec(gguf.read_header(weights))


def _paths(manifest: Manifest, media_type: str, blobs: BlobStore) -> tuple[Path, ...]:
    return tuple(blobs.existing(layer.digest) for layer in manifest.of_type(media_type))


def _last(manifest: Manifest, media_type: str, blobs: BlobStore) -> Path | None:
    paths = _paths(manifest, media_type, blobs)
    return paths[-1] if paths else None


def _texts(manifest: Manifest, blobs: BlobStore, *types: str) -> Iterator[str]:
    for layer in manifest.of_type(*types):
        yield blobs.read(layer.digest).decode("utf-8", "replace")


def _last_text(manifest: Manifest, blobs: BlobStore, *types: str) -> str | None:
    texts = list(_texts(manifest, blobs, *types))
    return texts[-1] if texts else None


def _has_audio(projector: Path) -> bool:
    header = gguf.read_header(projector)
    return any(value is True for key, value in header.values.items() if key.endswith(".has_audio_encoder"))


def _projector_type(projectors: tuple[Path, ...]) -> str:
    if not projectors:
        return ""
    header = gguf.read_header(projectors[0])
    return header.text("clip.projector_type") or header.text("clip.vision.projector_type")
