"""Pulls and pushes through the proxy that the environment names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.config import Config
from pollama.errors import PollamaError
from pollama.models import media
from pollama.models.library import ModelLibrary
from pollama.server import registry_access
from tests.models.fixtures import PlainInspector
from tests.models.registry_server import Registry, digest_of
from tests.models.registry_store import Store, statuses
from tests.models.test_registry_push import create

NAME = "registry.invalid/me/m"
"""A host that exists nowhere: only a proxy can answer for it."""


async def store_behind(proxy: str, folder: Path, **environment: str) -> Store:
    config = Config.load({"HOME": str(folder), "HTTP_PROXY": proxy, **environment})
    library = ModelLibrary(folder / "models", PlainInspector(), access=registry_access(config))
    await library.open()
    return Store(library, folder / "models", [])


async def test_a_pull_and_a_push_go_through_the_proxy(registry: Registry, tmp_path: Path, weights: Path) -> None:
    registry.add("me/m", (media.MODEL, b"weights"))
    store = await store_behind(registry.host, tmp_path)
    assert statuses(await store.pull(NAME))[-1] == "success"
    assert store.blob(b"weights").read_bytes() == b"weights"
    assert {seen.headers["Host"] for seen in registry.seen} == {"registry.invalid"}
    await create(store, "registry.invalid/me/pushed", weights)
    assert statuses(await store.push("registry.invalid/me/pushed"))[-1] == "success"
    assert digest_of(weights.read_bytes()) in registry.blobs


async def test_hosts_that_need_no_proxy(registry: Registry, tmp_path: Path) -> None:
    store = await store_behind(registry.host, tmp_path, NO_PROXY=".invalid")
    with pytest.raises(PollamaError, match=r"registry\.invalid"):
        await store.pull(NAME)
    assert registry.seen == []


async def test_this_machine_needs_no_proxy(registry: Registry, tmp_path: Path) -> None:
    registry.add("me/m", (media.MODEL, b"weights"))
    store = await store_behind("127.0.0.1:1", tmp_path)
    assert statuses(await store.pull(registry.name()))[-1] == "success"


async def test_a_proxy_of_another_kind_is_named(tmp_path: Path) -> None:
    store = await store_behind("socks5://127.0.0.1:1080", tmp_path)
    with pytest.raises(PollamaError, match=r"proxy socks5://127\.0\.0\.1:1080: only http and https proxies"):
        await store.pull(NAME)
