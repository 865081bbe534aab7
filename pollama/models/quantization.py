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


def check(header: Header, text: str, *, draft: bool = False) -> None:
    """Check the wish for ``text`` ("" = none). Raises PollamaError unless the weights are of that type already."""
    if not text:
        return
    wanted, given = wanted_type(text), stored_file_type(header)
    if given not in _SOURCES:
        raise PollamaError(
            f"draft quantization requires an unquantized draft model, got {given}"
            if draft
            else "quantization is only supported for F16, BF16 and F32 models"
        )
    if wanted != given:
        raise PollamaError(f"weights cannot be quantized to {wanted} here: quantize the GGUF file before import")
