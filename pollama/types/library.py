"""Store operations in pollama's own form."""

from __future__ import annotations

from dataclasses import dataclass, field

from pollama.types.json import Json
from pollama.types.messages import Message
from pollama.types.model import Model


@dataclass(slots=True, kw_only=True)
class CreateRequest:
    """POST /api/create. ``files``, ``adapters`` and ``draft_files`` map relative paths to blob digests.

    None = the field was absent or null (``files`` {} and no ``files`` are different errors).
    """

    model: str
    source: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    draft_files: dict[str, str] | None = None
    template: str = ""
    system: str = ""
    licenses: list[str] = field(default_factory=list)
    parameters: dict[str, Json] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    info: dict[str, Json] = field(default_factory=dict)
    quantize: str = ""
    draft_quantize: str = ""
    remote_host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a GGUF: llama.cpp's type name and the shape in file order."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """``details`` of tags, show and ps."""

    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: tuple[str, ...] | None = None
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelListing:
    """One entry of /api/tags."""

    name: str
    digest: str
    size: int
    modified_at: float
    details: ModelDetails
    capabilities: tuple[str, ...] = ()
    remote_model: str = ""
    remote_host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """All that /api/show tells. ``model_info`` and ``projector_info`` are GGUF values (arrays only when asked for)."""

    model: Model
    details: ModelDetails
    model_info: dict[str, Json]
    projector_info: dict[str, Json] | None
    tensors: tuple[TensorInfo, ...]
    modelfile: str
    parameters: str
    template: str
