"""The config blob of a model: what its manifest knows about it without its weights."""

from __future__ import annotations

from typing import Final

import msgspec

from pollama.errors import StoreError
from pollama.types import gojson
from pollama.types.json import Json
from pollama.types.model import ModelConfig

_PLATFORM: Final[dict[str, Json]] = {"architecture": "amd64", "os": "linux"}
"""Ollama writes these constants on every platform; digests depend on them."""

_REQUIRED: Final = ("model_format", "model_family", "model_families", "model_type", "file_type")
_OPTIONAL: Final = (
    "renderer",
    "parser",
    "requires",
    "remote_host",
    "remote_model",
    "capabilities",
    "context_length",
    "embedding_length",
    "base_name",
)


def decode(data: bytes, source: str) -> ModelConfig:
    """Return the config in ``data``; unknown fields are skipped. Raises StoreError naming ``source`` and the field."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, Json])
        given = {key: value for key, value in fields.items() if value is not None}
        return msgspec.convert(given, ModelConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"config {source} is damaged: {error}") from error


def encode(config: ModelConfig) -> bytes:
    """Return the bytes of the config blob, as Ollama writes them."""
    record: dict[str, Json] = {key: getattr(config, key) for key in _REQUIRED}
    record |= {key: getattr(config, key) for key in _OPTIONAL if getattr(config, key)}
    return gojson.dump_line(record | _PLATFORM)
