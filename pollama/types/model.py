"""What is known of a model: facts of its weights, its manifest and its prompt format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pollama.types.json import Json
from pollama.types.messages import Message

PromptMode = Literal["native", "rendered"]
"""``native``: the GGUF's own Jinja template; ``rendered``: Go template or named renderer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Facts of one GGUF that placement and estimates need. All sizes are bytes, all lengths tokens or elements.

    ``layer_bytes[i]`` is the size of all tensors of block i; ``input_bytes`` the token embedding;
    ``output_bytes`` everything behind the last block. ``head_count_kv[i]`` is 0 for a block without attention.
    ``expert_bytes[i]`` (none without experts) is the part of ``layer_bytes[i]`` of which a token reads only
    ``expert_used_count`` in ``expert_count``. ``raw_embeddings``: an embedding model that leaves it to its caller to
    give vectors the length 1.
    """

    architecture: str
    parameter_count: int
    file_type: str
    file_bytes: int
    layer_bytes: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    context_length: int
    embedding_length: int
    feed_forward_length: int
    vocabulary_length: int
    head_count: int
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    sliding_window: int = 0
    recurrent: bool = False
    expert_count: int = 0
    expert_used_count: int = 0
    expert_bytes: tuple[int, ...] = ()
    pooling_type: int | None = None
    has_vision: bool = False
    has_audio: bool = False
    chat_template: str = ""
    raw_embeddings: bool = False

    @property
    def layer_count(self) -> int:
        """Number of repeating blocks."""
        return len(self.layer_bytes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors."""
        return self.input_bytes + sum(self.layer_bytes) + self.output_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The config blob of a manifest (see Ollama's image config); empty text = absent."""

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTraits:
    """What the prompt format of a model implies; computed by ``prompts`` and cached with the model."""

    mode: PromptMode
    selected: str
    capabilities: tuple[str, ...]
    listed_capabilities: tuple[str, ...]
    """``capabilities`` as /api/show orders them, ``listed_capabilities`` as /api/tags does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """One manifest with everything it refers to, read and checked.

    ``name`` is the full name (host/namespace/model:tag), ``short_name`` the display form,
    ``digest`` the SHA-256 of the manifest file (64 hex digits). ``template`` None = no template layer.
    """

    name: str
    short_name: str
    digest: str
    size: int
    modified_at: float
    config: ModelConfig
    spec: ModelSpec | None
    weights: Path | None
    projectors: tuple[Path, ...] = ()
    adapters: tuple[Path, ...] = ()
    draft: Path | None = None
    parent: str = ""
    template: str | None = None
    system: str = ""
    licenses: tuple[str, ...] = ()
    parameters: dict[str, Json] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    projector_has_audio: bool = False
    projector_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A stored model together with the traits of its prompt format: all that a request needs to know."""

    stored: StoredModel
    traits: PromptTraits

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Capabilities in the order of /api/show."""
        return self.traits.capabilities
