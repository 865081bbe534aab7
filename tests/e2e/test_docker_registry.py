"""Models between stores by way of a real registry, and by way of one that misbehaves."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pollama.errors import PollamaError
from pollama.models import manifest, media
from pollama.models.manifest import Layer, Manifest
from tests.docker_registry import MISSING, PROGRAM, DockerRegistry, running_docker_registry
from tests.e2e.server import Server, running_server
from tests.front import Front, running_front
from tests.models.registry_server import digest_of
from tests.models.registry_store import Store, make_store, statuses

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

MIB = 1 << 20
WEIGHTS = random.Random(1).randbytes(MIB)
LARGE = random.Random(2).randbytes(48 * MIB)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with running_docker_registry(tmp_path_factory.mktemp("registry") / "storage") as running:
        yield running


@pytest.fixture
async def front(registry: DockerRegistry) -> AsyncIterator[Front]:
    async with running_front(registry.host) as running:
        yield running


@pytest.fixture
async def here(tmp_path: Path) -> Store:
    return await make_store(tmp_path / "here")


@pytest.fixture
async def there(tmp_path: Path) -> Store:
    return await make_store(tmp_path / "there", stall=0.2)


def add(store: Store, name: str, *blobs: bytes) -> None:
    """Put a model of ``blobs`` and a config into a store, as it is."""
    for data in (*blobs, b"{}"):
        store.blob(data).write_bytes(data)
    layers = [Layer(media_type=media.MODEL, digest=digest_of(data), size=len(data)) for data in blobs]
    config = Layer(media_type=media.CONFIG, digest=digest_of(b"{}"), size=2)
    path = store.root / "manifests" / name / "latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(Manifest(config=config, layers=layers).encoded())


async def test_what_is_pushed_is_pulled(registry: DockerRegistry, here: Store, there: Store) -> None:
    name = f"{registry.host}/me/plain"
    add(here, name, WEIGHTS, b"small")
    assert statuses(await here.push(name))[-1] == "success"
    assert statuses(await there.pull(name))[-1] == "success"
    assert [there.blob(data).read_bytes() for data in (WEIGHTS, b"small", b"{}")] == [WEIGHTS, b"small", b"{}"]
    pulled = manifest.read(there.root / "manifests" / name / "latest").manifest
    assert pulled == manifest.read(here.root / "manifests" / name / "latest").manifest


def uploads(front: Front) -> list[str]:
    """Return the methods of all requests that send a blob or begin to."""
    return [line.split()[0] for line in front.seen if "/blobs/uploads/" in line]


async def test_a_blob_that_the_registry_has_is_not_sent_again(front: Front, here: Store) -> None:
    name = f"{front.host}/me/twice"
    add(here, name, b"once")
    await here.push(name)
    assert uploads(front)[:3] == ["POST", "PATCH", "PUT"]
    front.seen.clear()
    assert statuses(await here.push(name))[-1] == "success"
    assert uploads(front) == []


async def test_a_blob_of_another_repository_is_mounted(front: Front, here: Store) -> None:
    origin, copy = (f"{front.host}/me/{model}" for model in ("origin", "copy"))
    add(here, origin, b"mounted")
    await here.push(origin)
    front.seen.clear()
    stored = manifest.read(here.root / "manifests" / origin / "latest").manifest
    layer = Layer(media_type=media.MODEL, digest=digest_of(b"mounted"), size=7, origin=f"{origin}:latest")
    config = Layer(media_type=media.CONFIG, digest=stored.config.digest, size=2, origin=f"{origin}:latest")
    path = here.root / "manifests" / copy / "latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(Manifest(config=config, layers=[layer]).encoded())
    assert statuses(await here.push(copy))[-1] == "success"
    assert uploads(front) == ["POST", "POST"]


async def test_a_large_blob_travels_in_parts(
    registry: DockerRegistry, here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pollama.models.registry.parts._MIN_BYTES", MIB)
    add(here, f"{registry.host}/me/parts", LARGE[: 5 * MIB + 1])
    assert statuses(await here.push(f"{registry.host}/me/parts"))[-1] == "success"
    await there.pull(f"{registry.host}/me/parts")
    assert there.blob(LARGE[: 5 * MIB + 1]).read_bytes() == LARGE[: 5 * MIB + 1]


async def test_a_registry_that_answers_500_twice(front: Front, here: Store, there: Store) -> None:
    name = f"{front.host}/me/failing"
    add(here, name, WEIGHTS)
    await here.push(name)
    front.failures += [(f"GET .*{digest_of(WEIGHTS)}", 500)] * 2
    assert statuses(await there.pull(name))[-1] == "success"
    assert there.slept == [1.0, 2.0]
    assert there.blob(WEIGHTS).read_bytes() == WEIGHTS


async def test_an_upload_that_fails_twice(front: Front, here: Store) -> None:
    name = f"{front.host}/me/failing-upload"
    add(here, name, b"upload")
    front.failures += [("^PATCH ", 500)] * 2
    assert statuses(await here.push(name))[-1] == "success"
    assert here.slept == [1.0, 2.0]


async def test_a_registry_that_stalls(front: Front, here: Store, there: Store) -> None:
    name = f"{front.host}/me/stalling"
    add(here, name, WEIGHTS)
    await here.push(name)
    front.stalls += [1000, 0]
    assert statuses(await there.pull(name))[-1] == "success"
    assert there.blob(WEIGHTS).read_bytes() == WEIGHTS
    ranges = [wanted for wanted in front.ranges if wanted.endswith(f"-{MIB - 1}")]
    assert ranges == [f"bytes={start}-{MIB - 1}" for start in (0, 1000, 1000)]


async def test_a_registry_that_redirects_to_another_host(front: Front, here: Store, there: Store) -> None:
    name = f"{front.host}/me/elsewhere"
    add(here, name, WEIGHTS)
    await here.push(name)
    front.redirects = True
    assert statuses(await there.pull(name))[-1] == "success"
    assert there.blob(WEIGHTS).read_bytes() == WEIGHTS
    assert front.ranges == []


async def test_a_blob_that_was_corrupted_in_the_registry(registry: DockerRegistry, here: Store, there: Store) -> None:
    name, data = f"{registry.host}/me/corrupted", b"to be corrupted"
    add(here, name, data)
    await here.push(name)
    registry.blob(digest_of(data)).write_bytes(b"to be CORRUPTED")
    with pytest.raises(PollamaError, match=f"digest mismatch, file must be downloaded again: want {digest_of(data)}"):
        await there.pull(name)
    assert there.files == set()
    assert await there.library.list() == []
    registry.blob(digest_of(data)).write_bytes(data)
    assert statuses(await there.pull(name))[-1] == "success"


def _pull(server: Server, name: str) -> list[str]:
    _, body = server.request("POST", "/api/pull", {"model": name, "insecure": True})
    return body.decode().splitlines()


def _kill_within_pull(server: Server, name: str, saved: int) -> None:
    """Pull until the server has noted that the disk has ``saved`` bytes of the large blob, then kill it."""
    body = json.dumps({"model": name, "insecure": True}).encode()
    state = server.models / "blobs" / f"{digest_of(LARGE).replace(':', '-')}-partial-0"
    with urllib.request.urlopen(f"{server.url}/api/pull", body, timeout=60) as answer:
        assert any(_saved(state) >= saved for _ in answer)  # looks with each record, of which there are 17 a second
        server.process.kill()
    server.process.wait(timeout=30)


def _saved(state: Path) -> int:
    data = state.read_bytes() if state.exists() else b""
    return int(json.loads(data)["Completed"]) if data.endswith(b"\n") else 0


async def test_a_download_goes_on_where_its_server_was_killed(front: Front, here: Store, tmp_path: Path) -> None:
    name = f"{front.host}/me/large"
    add(here, name, LARGE)
    await here.push(name)
    (tmp_path / "server").mkdir()
    front.stalls += [40 * MIB]
    with running_server(tmp_path / "server") as server:
        await asyncio.to_thread(_kill_within_pull, server, name, 32 * MIB)
    front.ranges.clear()
    with running_server(tmp_path / "server") as server:
        assert server.json("GET", "/api/tags") == {"models": []}
        records = await asyncio.to_thread(_pull, server, name)
        assert records[-1] == '{"status":"success"}'
        blob = server.models / "blobs" / digest_of(LARGE).replace(":", "-")
        assert blob.read_bytes() == LARGE
    first = int(front.ranges[0].removeprefix("bytes=").partition("-")[0])
    assert 32 * MIB <= first <= 40 * MIB
