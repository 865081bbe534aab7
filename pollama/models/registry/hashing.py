"""The SHA-256 of a file that is still being written."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from pollama.models.threads import to_its_end

_BUFFER: Final = 1 << 20
_STEP: Final = 32 << 20
"""Bytes that a thread hashes before it can be stopped."""


class PrefixHash:
    """Hashes a file from its beginning as far as it has come. ``position`` is how far that was, in bytes."""

    def __init__(self, descriptor: int) -> None:
        self.position = 0
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._buffer = memoryview(bytearray(_BUFFER))

    @property
    def digest(self) -> str:
        """The digest of what was hashed."""
        return f"sha256:{self._hash.hexdigest()}"

    async def advance(self, end: int) -> None:
        """Hash up to the offset ``end``. Raises OSError when the file cannot be read or is shorter."""
        while self.position < end:
            await to_its_end(lambda: self._advance(min(end, self.position + _STEP)))

    def _advance(self, end: int) -> None:
        while self.position < end:
            wanted = self._buffer[: end - self.position]
            size = os.preadv(self._descriptor, [wanted], self.position)
            if not size:
                raise OSError(None, f"it ends at {self.position} bytes")
            self._hash.update(wanted[:size])
            self.position += size
