"""Base64 with Go's error text."""

from __future__ import annotations

import binascii
import re
from typing import Final

from pollama.api.godecode.errors import DecodeError

_LEADING: Final = re.compile(rb"[A-Za-z0-9+/\r\n]*")
_SKIPPED: Final = re.compile(rb"[\r\n]*")


def decode_base64(text: str) -> bytes:
    """Decode standard base64 with padding; CR and LF are skipped. Raises DecodeError naming the offending byte."""
    try:
        return binascii.a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True)
    except (binascii.Error, ValueError):
        raise DecodeError(f"illegal base64 data at input byte {_fault(text.encode())}") from None


def _fault(data: bytes) -> int:
    """Return the offset that Go's decoder stops at."""
    good = _end(_LEADING, data, 0)
    count = (good - data.count(b"\r", 0, good) - data.count(b"\n", 0, good)) % 4
    if good == len(data):
        return good - count
    if data[good] != ord("=") or count < 2:
        return good
    at = _end(_SKIPPED, data, good + 1)
    if count == 3:
        return at
    if at == len(data) or data[at] != ord("="):
        return at if at == len(data) else at - 1
    return _end(_SKIPPED, data, at + 1)


def _end(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    match = pattern.match(data, start)
    return match.end() if match else start
