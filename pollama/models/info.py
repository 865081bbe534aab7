"""The ``info`` object of a create request: facts that the client states itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pollama.errors import BadRequestError
from pollama.types.json import Json
from pollama.types.model import ModelConfig


def _text(key: str, value: Json) -> str:
    if not isinstance(value, str):
        raise BadRequestError(f'info field "{key}" must be a string')
    return value


def _count(key: str, value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRequestError(f'info field "{key}" must be a number')
    if value < 0 or value != int(value):
        raise BadRequestError(f'info field "{key}" must be a non-negative integer')
    return int(value)


_FIELDS: Final[dict[str, tuple[str, Callable[[str, Json], Any]]]] = {
    "model_family": ("model_family", _text),
    "base_name": ("base_name", _text),
    "quantization_level": ("file_type", _text),
    "parameter_size": ("model_type", _text),
    "context_length": ("context_length", _count),
    "embedding_length": ("embedding_length", _count),
}
"""Of each key: the field of the config and the check of its value."""


def stated(info: dict[str, Json]) -> dict[str, Any]:
    """Return the config fields that ``info`` sets. Raises BadRequestError naming the key that is wrong."""
    return {field: check(key, info[key]) for key, (field, check) in _FIELDS.items() if info.get(key) is not None}


def with_info(config: ModelConfig, info: dict[str, Json]) -> ModelConfig:
    """Return ``config`` with what ``info`` states laid over it; capabilities are added to those it has."""
    added = info.get("capabilities")
    named = [name for name in added if isinstance(name, str)] if isinstance(added, list) else []
    capabilities = dict.fromkeys([*config.capabilities, *named])
    return replace(config, **stated(info), capabilities=tuple(capabilities))
