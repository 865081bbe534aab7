"""Which web pages may call the server: the CORS rules of ``OLLAMA_ORIGINS``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_METHODS: Final = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_HEADERS: Final = ",".join(
    (
        "Authorization",
        "Content-Type",
        "User-Agent",
        "Accept",
        "X-Requested-With",
        "Openai-Beta",
        "X-Stainless-Arch",
        "X-Stainless-Async",
        "X-Stainless-Custom-Poll-Interval",
        "X-Stainless-Helper-Method",
        "X-Stainless-Lang",
        "X-Stainless-Os",
        "X-Stainless-Package-Version",
        "X-Stainless-Poll-Helper",
        "X-Stainless-Retry-Count",
        "X-Stainless-Runtime",
        "X-Stainless-Runtime-Version",
        "X-Stainless-Timeout",
    )
)
_MAX_AGE: Final = "43200"
_PREFLIGHT_VARY: Final = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")


class OriginPolicy:
    """The allowed origins. An entry is an exact origin, or has one ``*`` that stands for anything."""

    def __init__(self, entries: Iterable[str]) -> None:
        entries = list(entries)
        self._any = "*" in entries
        self._exact = frozenset(entries)
        self._patterns = [(head, tail) for head, star, tail in (entry.partition("*") for entry in entries) if star]

    def allows(self, origin: str) -> bool:
        """Tell whether pages of ``origin`` may call; the spelling counts."""
        if self._any or origin in self._exact:
            return True
        return any(origin.startswith(head) and origin.endswith(tail) for head, tail in self._patterns)

    def headers(self, origin: str, *, preflight: bool) -> list[tuple[str, str]]:
        """Return the headers of an answer to an allowed origin."""
        allowed = [("Access-Control-Allow-Origin", "*" if self._any else origin)]
        vary = _PREFLIGHT_VARY if preflight else _PREFLIGHT_VARY[:1]
        headers = allowed if self._any else allowed + [("Vary", name) for name in vary]
        if not preflight:
            return headers
        return [
            *headers,
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Allow-Headers", _HEADERS),
            ("Access-Control-Max-Age", _MAX_AGE),
        ]


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a page of ``origin`` calls the server that it came from."""
    return origin in (f"http://{host}", f"https://{host}")
