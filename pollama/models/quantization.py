"""Checks of a wish to quantise a model while it is created."""

from __future__ import annotations

from typing import Final

from pollama.errors import PollamaError
from pollama.models.gguf import Header
from pollama.models.spec import UNKNOWN_FILE_TYPE, file_type_name

_TYPES: Final = ("F32", "F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M")
_ALIASES: Final = {"Q4_K": "Q4_K_M"}
_SOURCES: Final = ("F16", "BF16", "F32")


def stored_file_type(header: Header) -> str:
    """Return the quantisation that a model's config states; 0, which is F32, counts as unstated there."""
    number = header.integer("general.file_type")
    return file_type_name(number) if number else UNKNOWN_FILE_TYPE


def wanted_type(text: str) -> str:
    """Return the name of the wanted type, in upper case. Raises PollamaError when it is none."""
    name = text.upper()
    known = _ALIASES.get(name, name)
    if known not in _TYPES:
        raise PollamaError(f"unsupported quantization type {name} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0")
    return known


def check_source(header: Header) -> None:
    """Raise PollamaError when the weights are quantised already."""
    if stored_file_type(header) not in _SOURCES:
        raise PollamaError("quantization is only supported for F16, BF16 and F32 models")
