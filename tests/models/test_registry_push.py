"""Push against a registry on the loopback interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pollama.errors import PollamaError
from pollama.models import media
from pollama.types.library import CreateRequest
from tests.models.registry_server import Registry, digest_of
from tests.models.registry_store import Store, make_store, short, statuses


async def create(store: Store, name: str, weights: Path) -> None:
    """Make a model of a GGUF and a system prompt."""
    data = weights.read_bytes()
    async with store.library.open_upload(digest_of(data)) as upload:
        await upload.write(data)
        await upload.commit()
    request = CreateRequest(model=name, files={"w.gguf": digest_of(data)}, system="Be kind.")
    assert [step async for step in store.library.create(request)][-1].status == "success"


def manifest_of(store: Store, name: str) -> bytes:
    return (store.root / "manifests" / name / "latest").read_bytes()


@pytest.mark.parametrize("redirected", [False, True])
async def test_what_is_pushed_can_be_pulled(
    registry: Registry, store: Store, weights: Path, tmp_path: Path, redirected: bool
) -> None:
    registry.redirects_uploads, registry.token = redirected, "secret"
    await create(store, registry.name(), weights)
    config = json.loads(manifest_of(store, registry.name()))["config"]["digest"][7:19]
    assert statuses(await store.push(registry.name())) == [
        "retrieving manifest",
        *(f"pushing {name}" for name in (short(weights.read_bytes()), short(b"Be kind."), config)),
        "pushing manifest",
        "success",
    ]
    assert registry.manifests["me/m/latest"] == manifest_of(store, registry.name()).rstrip(b"\n")
    other = await make_store(tmp_path / "other")
    assert (await other.pull(registry.name()))[-1].status == "success"
    assert other.blob(weights.read_bytes()).read_bytes() == weights.read_bytes()


async def test_the_requests_of_an_upload(registry: Registry, store: Store, weights: Path) -> None:
    await create(store, registry.name(), weights)
    await store.push(registry.name())
    size = weights.stat().st_size
    part = next(seen for seen in registry.seen if seen.method == "PATCH").headers
    assert (part["Content-Range"], part["Content-Length"]) == (f"0-{size - 1}", str(size))
    assert (part["Content-Type"], part["X-Redirect-Uploads"]) == ("application/octet-stream", "1")
    manifest = registry.seen[-1]
    assert (manifest.method, manifest.headers["Content-Type"]) == ("PUT", media.MANIFEST)


async def test_the_place_that_a_part_is_sent_to_gets_no_token(registry: Registry, store: Store, weights: Path) -> None:
    registry.redirects_uploads, registry.token = True, "secret"
    await create(store, registry.name(), weights)
    await store.push(registry.name())
    elsewhere = [seen for seen in registry.seen if seen.path.startswith("/cdn/")]
    assert elsewhere
    assert not any("Authorization" in seen.headers or "Content-Range" in seen.headers for seen in elsewhere)


async def test_what_is_there_is_not_sent_again(registry: Registry, store: Store, weights: Path) -> None:
    await create(store, registry.name(), weights)
    await store.push(registry.name())
    registry.seen.clear()
    assert (await store.push(registry.name()))[-1].status == "success"
    assert registry.count("^(POST|PATCH)") == 0


async def test_inherited_layers_are_mounted(registry: Registry, store: Store, weights: Path) -> None:
    await create(store, registry.name("me/base"), weights)
    await store.push(registry.name("me/base"))
    registry.failures += [("HEAD .*", 404, "")] * 3  # a registry knows the blobs of each repository apart
    request = CreateRequest(model=registry.name(), source=registry.name("me/base"))
    assert [step async for step in store.library.create(request)][-1].status == "success"
    registry.seen.clear()
    await store.push(registry.name())
    digest = digest_of(weights.read_bytes())
    assert registry.seen[1].path == f"/v2/me/m/blobs/uploads/?from=me/base&mount={digest}"
    assert registry.manifests["me/m/latest"] == manifest_of(store, registry.name()).rstrip(b"\n")


async def test_parts_are_sent_again_after_passing_failures(registry: Registry, store: Store, weights: Path) -> None:
    await create(store, registry.name(), weights)
    registry.failures += [("PATCH", 500, "later")] * 2
    await store.push(registry.name())
    assert store.slept == [1.0, 2.0]
    assert registry.blobs[digest_of(weights.read_bytes())] == weights.read_bytes()


@pytest.mark.parametrize("name", ["none", "bad name", "/etc/passwd"])
async def test_a_model_that_is_not_there(store: Store, name: str) -> None:
    steps = store.library.push(name)
    assert [(await anext(steps)).status for _ in range(2)] == ["retrieving manifest", "couldn't retrieve manifest"]
    with pytest.raises(PollamaError, match=r"no such file|invalid model name"):
        await anext(steps)


async def test_a_refused_push(registry: Registry, store: Store, weights: Path) -> None:
    await create(store, registry.name(), weights)
    registry.failures.append(("PUT .*manifests", 403, "not yours"))
    with pytest.raises(PollamaError, match=r"^403: not yours$"):
        await store.push(registry.name())
