"""The number that stands for an image or a piece of audio in lists of tokens."""

from __future__ import annotations

import hashlib
from typing import Final

_COUNT_BITS: Final = 20


def placeholder(content: bytes, part: int, cells: int) -> int:
    """Return the negative number of a medium: ``content`` names what it shows, ``part`` counts those before it.

    Equal arguments, equal number. It fits 64 bits, and says how many KV ``cells`` the medium takes.
    """
    digest = hashlib.sha256(content + part.to_bytes(4, "little")).digest()
    name = int.from_bytes(digest[:8], "little") >> (1 + _COUNT_BITS)
    return -1 - (name << _COUNT_BITS | cells)


def cells_of(number: int) -> int:
    """Return the KV cells of the medium that ``number`` stands for."""
    return (-1 - number) & ((1 << _COUNT_BITS) - 1)
