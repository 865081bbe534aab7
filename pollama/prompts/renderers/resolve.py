"""Which of a family's renderers a model needs, where its manifest names only the family."""

from __future__ import annotations

import re
from typing import Final

from pollama.types.model import StoredModel

_SMALL: Final = ("e2b", "e4b")
_LARGE: Final = ("12b", "26b", "31b")
_UNITS: Final = {"K": 1e3, "M": 1e6, "B": 1e9}
_LARGE_FROM: Final = 12e9
"""Parameters from which a Gemma 4 is a large one."""


def renderer_name(stored: StoredModel) -> str:
    """Return the name of the renderer; ``gemma4`` becomes the small or the large one."""
    name = stored.config.renderer
    if name != "gemma4":
        return name
    return "gemma4-large" if _is_large(stored) else "gemma4-small"


def _is_large(stored: StoredModel) -> bool:
    for name in (stored.short_name.lower(), stored.name.lower()):
        if any(size in name for size in _SMALL):
            return False
        if any(size in name for size in _LARGE):
            return True
    match = re.fullmatch(r"([0-9.]+)([KMB])", stored.config.model_type.upper())
    return match is not None and float(match[1]) * _UNITS[match[2]] >= _LARGE_FROM
