"""Times as Ollama writes them: RFC 3339 with up to nine digits, trailing zeros removed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

from pollama.types.requests import FOREVER

_NANOSECONDS = 10**9
_LONGEST = 2**63 / _NANOSECONDS
"""The longest duration that Go can express, in seconds; it stands for "for ever"."""


def utc_now() -> str:
    """Return the present moment in UTC."""
    seconds, nanoseconds = divmod(time.time_ns(), _NANOSECONDS)
    return f"{_utc_second(seconds)}{_fraction(nanoseconds)}Z"


def local(moment: float) -> str:
    """Return a Unix time in the local zone; FOREVER is some 292 years ahead."""
    if moment == FOREVER:
        moment = time.time() + _LONGEST
    seconds, rest = divmod(moment, 1)
    stamp = datetime.fromtimestamp(int(seconds), UTC).astimezone()
    return stamp.strftime("%Y-%m-%dT%H:%M:%S") + _fraction(int(rest * _NANOSECONDS)) + _zone(stamp)


@lru_cache(maxsize=2)
def _utc_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""


def _zone(stamp: datetime) -> str:
    zone = stamp.strftime("%z")
    return "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}"
