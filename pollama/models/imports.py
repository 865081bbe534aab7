"""From uploaded files to layers: what a file is and which layer it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from pollama.errors import BadRequestError
from pollama.models import gguf, media
from pollama.models.blobs import BlobStore
from pollama.models.gguf import Header
from pollama.models.manifest import Layer

_NO_SAFETENSORS: Final = (
    "safetensors files cannot be imported: convert the model to GGUF first, with convert_hf_to_gguf.py of llama.cpp"
)
_ENCODER_TENSORS: Final = ("a.", "mm.", "mtp.", "s.", "v.")


@dataclass(frozen=True, slots=True)
class Part:
    """A layer of the model that is being made, with the status line that reports it.

    ``header`` is that of its GGUF, where the layer has one.
    """

    layer: Layer
    status: str
    header: Header | None = None


def check_format(files: dict[str, str], blobs: BlobStore) -> None:
    """Raise BadRequestError unless the files are GGUF."""
    if any(name.endswith(".safetensors") for name in files):
        raise BadRequestError(_NO_SAFETENSORS)
    if not any(name.endswith(".gguf") or gguf.is_gguf(blobs.existing(digest)) for name, digest in files.items()):
        raise BadRequestError("unknown type")


def read_gguf(name: str, digest: str, blobs: BlobStore) -> Part:
    """Return the layer that one uploaded GGUF file becomes; the file itself stays as it is.

    Raises BadRequestError for a file of another format, StoreError for one that was not uploaded, WeightsError.
    """
    path = blobs.existing(digest)
    if not gguf.is_gguf(path):
        raise BadRequestError("supplied file was not in GGUF format")
    header = gguf.read_header(path)
    layer = Layer(
        media_type=layer_type(header),
        digest=digest.replace("-", ":", 1),
        size=path.stat().st_size,
        origin="" if is_text_model(header) else name,
    )
    blobs.touch(digest)
    return Part(layer, f"using existing layer {layer.digest}", header)


def existing_layer(layer: Layer, origin: str, blobs: BlobStore) -> Part:
    """Return a layer of the model ``origin`` for use in another one. Raises StoreError when its blob is missing."""
    path = blobs.existing(layer.digest)
    blobs.touch(layer.digest)
    inherited = msgspec.structs.replace(layer, size=path.stat().st_size, origin=origin)
    is_weights = layer.media_type == media.MODEL and gguf.is_gguf(path)
    return Part(inherited, f"using existing layer {layer.digest}", gguf.read_header(path) if is_weights else None)


def text_layer(media_type: str, data: bytes, blobs: BlobStore) -> Part:
    """Store ``data`` as a new layer. Raises StoreError."""
    stored = blobs.put(data)
    verb = "creating new" if stored.created else "using existing"
    layer = Layer(media_type=media_type, digest=stored.digest, size=stored.size)
    return Part(layer, f"{verb} layer {stored.digest}")


def layer_type(header: Header) -> str:
    """Return the media type of a GGUF: weights, an adapter (LoRA) or a projector of images or sound."""
    kind = header.text("general.type")
    if kind == "adapter":
        return media.ADAPTER
    has_blocks = bool(header.integer(header.own("block_count")))
    if kind in ("projector", "mmproj") or (not has_blocks and _encodes(header)):
        return media.PROJECTOR
    return media.MODEL


def is_text_model(header: Header) -> bool:
    """Whether a GGUF holds the weights of a text model and nothing else."""
    encoders = any(tensor.name.startswith(_ENCODER_TENSORS) for tensor in header.tensors)
    return layer_type(header) == media.MODEL and not encoders


def _encodes(header: Header) -> bool:
    """Whether a GGUF without text blocks holds an encoder of images or sound."""
    if header.integer(header.own("vision.block_count")):
        return True
    encoders = ("clip.has_vision_encoder", "clip.has_audio_encoder")
    return header.architecture == "clip" and any(header.flag(key) for key in encoders)
