"""Which addresses are reached through a proxy."""

from __future__ import annotations

import pytest

from pollama.types.proxies import Proxies

PROXIES = Proxies(http="plain:1", https="http://secure:2", exceptions=" .inside.org, other.net")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://example.org/v2", "http://plain:1"),
        ("https://example.org/v2", "http://secure:2"),
        ("https://inside.org", None),
        ("https://deep.inside.org:8443/x", None),
        ("https://notinside.org", "http://secure:2"),
        ("http://other.net", None),
        ("http://localhost:5000", None),
        ("http://127.0.0.9:5000", None),
        ("http://[::1]:5000", None),
    ],
)
def test_choice(url: str, proxy: str | None) -> None:
    assert PROXIES.proxy_of(url) == proxy


def test_nothing_is_proxied_without_proxies() -> None:
    assert Proxies().proxy_of("https://example.org") is None


def test_a_star_excepts_everything() -> None:
    assert Proxies(https="http://p", exceptions="*").proxy_of("https://example.org") is None
