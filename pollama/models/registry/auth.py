"""The challenge of a registry, and the signed request for a token that answers it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from pollama.models.registry.pacing import RegistryError

_EMPTY_BODY: Final = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="
"""Base64 of the hexadecimal SHA-256 of nothing: a token request has no body."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What ``WWW-Authenticate: Bearer`` asks for; "" is a part that is absent."""

    realm: str
    service: str
    scope: str

    def token_url(self, requested: str, *, now: float, nonce: bytes) -> str:
        """Return the URL of the token for a request of the URL ``requested``; ``now`` is Unix time.

        Raises RegistryError when the realm is on another host: nobody else gets a signature.
        """
        realm, host = _split(self.realm), urlsplit(requested).netloc
        if realm.netloc != host:
            raise RegistryError(f'realm host "{realm.netloc}" does not match original host "{host}"')
        query = [
            *parse_qsl(realm.query, keep_blank_values=True),
            ("service", self.service),
            *(("scope", scope) for scope in self.scope.split(" ")),
            ("ts", str(int(now))),
            ("nonce", base64.urlsafe_b64encode(nonce).rstrip(b"=").decode()),
        ]
        return urlunsplit(realm._replace(query=urlencode(sorted(query, key=lambda item: item[0]))))


def parse_challenge(header: str) -> Challenge:
    """Return what the header asks for; values that are not quoted count as absent."""
    fields = header.removeprefix("Bearer ")
    return Challenge(*(_field(fields, key) for key in ("realm", "service", "scope")))


def signed_text(token_url: str) -> str:
    """Return the text whose signature a token request carries."""
    return f"GET,{token_url},{_EMPTY_BODY}"


def _field(fields: str, key: str) -> str:
    found = re.search(rf'{key}="(.*?)"(?=,|$)', fields)
    return found.group(1) if found else ""


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise RegistryError(f"realm {url!r} is no URL: {error}") from error
