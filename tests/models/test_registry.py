"""Pull against a registry on the loopback interface."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pollama.errors import PollamaError
from pollama.models import media
from pollama.models.registry import parts
from pollama.models.registry.parts import divide
from tests.models.registry_server import Registry, digest_of
from tests.models.registry_store import Store, make_store, short, statuses

WEIGHTS = bytes(range(256)) * 40
WEIGHTS_PATH = digest_of(WEIGHTS)
LAYERS = ((media.MODEL, WEIGHTS), (media.SYSTEM, b"Be kind."))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs are divided as if a megabyte were a kilobyte."""
    monkeypatch.setattr(parts, "_MIN_BYTES", 1000)
    monkeypatch.setattr(parts, "_MAX_BYTES", 10_000)


async def test_a_pull_stores_the_manifest_as_it_is_and_all_blobs(registry: Registry, store: Store) -> None:
    manifest = registry.add("me/m", *LAYERS)
    steps = await store.pull(registry.name())
    assert statuses(steps) == [
        "pulling manifest",
        *(f"pulling {short(data)}" for data in (WEIGHTS, b"Be kind.", b"{}")),
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert (store.root / "manifests" / registry.name("me/m/latest")).read_bytes() == manifest
    assert store.files == {store.blob(data).name for data in (WEIGHTS, b"Be kind.", b"{}")}
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS
    assert (await store.library.list())[0].name == f"{registry.name()}:latest"


async def test_progress_has_digest_total_and_completed(registry: Registry, store: Store) -> None:
    registry.add("me/m", *LAYERS)
    last = [step for step in await store.pull(registry.name()) if step.digest == digest_of(WEIGHTS)][-1]
    assert (last.total, last.completed) == (len(WEIGHTS), len(WEIGHTS))


async def test_requests_are_those_of_ollama(registry: Registry, store: Store) -> None:
    registry.add("me/m", *LAYERS)
    await store.pull(registry.name())
    manifest = registry.seen[0]
    assert (manifest.method, manifest.path) == ("GET", "/v2/me/m/manifests/latest")
    assert manifest.headers["Accept"] == media.MANIFEST
    assert re.fullmatch(r"ollama/\d+\.\d+\.\d+ \(\w+ \w+\) Go/go[\d.]+", manifest.headers["User-Agent"])
    ranges = [seen.headers for seen in registry.seen if "Range" in seen.headers]
    assert ranges[0]["Range"] == f"bytes=0-{len(WEIGHTS) - 1}"
    assert not any("Accept-Encoding" in headers for headers in ranges)


async def test_blobs_that_are_there_are_not_fetched_again(registry: Registry, store: Store) -> None:
    registry.add("me/m", *LAYERS)
    await store.pull(registry.name())
    registry.seen.clear()
    steps = await store.pull(registry.name())
    assert registry.count("blobs") == 0
    assert [(step.total, step.completed) for step in steps if step.digest == digest_of(WEIGHTS)] == [(10240, 10240)]


async def test_a_new_version_replaces_the_blobs_of_the_old_one(registry: Registry, store: Store) -> None:
    registry.add("me/m", *LAYERS)
    await store.pull(registry.name())
    registry.add("me/m", (media.MODEL, WEIGHTS), (media.SYSTEM, b"Be short."))
    assert statuses(await store.pull(registry.name()))[-3:] == ["writing manifest", "removing unused layers", "success"]
    assert not store.blob(b"Be kind.").exists()
    assert store.blob(b"Be short.").exists()


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (404, "", "pull model manifest: file does not exist"),
        (412, "\nA newer version is needed.\n", "pull model manifest: 412: \nA newer version is needed.\n"),
        (500, "broken", "pull model manifest: 500: broken"),
    ],
)
async def test_refused_manifests(registry: Registry, store: Store, status: int, text: str, error: str) -> None:
    registry.failures.append(("manifests", status, text))
    with pytest.raises(PollamaError) as failure:
        await store.pull(registry.name())
    assert (str(failure.value), failure.value.status) == (error, 500)


async def test_a_registry_out_of_reach(store: Store) -> None:
    with pytest.raises(PollamaError, match=r'^pull model manifest: Get "http://127.0.0.1:9/.*dial tcp 127.0.0.1:9: '):
        await store.pull("127.0.0.1:9/me/m")


@pytest.mark.parametrize(
    ("layers", "error"),
    [
        ([{"digest": ""}], "me/m: digest is empty"),
        ([{"digest": "sha256:../../../etc/passwd"}], "invalid digest format"),
        ([{"digest": digest_of(b""), "mediaType": media.TENSOR}], "this model requires MLX support"),
        ("x", "is damaged"),
        ([{"digest": digest_of(b"x"), "size": 10**18}], "not enough disk space"),
    ],
)
async def test_manifests_that_cannot_be_stored(registry: Registry, store: Store, layers: object, error: str) -> None:
    registry.manifests["me/m/latest"] = json.dumps({"layers": layers}).encode()
    with pytest.raises(PollamaError, match=error):
        await store.pull(registry.name())
    assert registry.count("blobs") == 0
    assert store.files == set()


async def test_a_token_is_got_with_a_signature(registry: Registry, store: Store, tmp_path: Path) -> None:
    registry.add("me/m", *LAYERS)
    registry.token = "secret"
    assert (await store.pull(registry.name()))[-1].status == "success"
    token = next(seen for seen in registry.seen if seen.path.startswith("/token"))
    query = parse_qs(urlsplit(token.path).query)
    assert (query["a"], query["service"], query["scope"]) == (["1"], ["reg"], ["repository:me/m:pull", "two"])
    assert list(query) == sorted(query)
    key = tmp_path / "home" / "id_ed25519"
    assert (key.stat().st_mode & 0o777, key.with_suffix(".pub").stat().st_mode & 0o777) == (0o600, 0o644)
    assert re.fullmatch(r"ssh-ed25519 \S+\n", key.with_suffix(".pub").read_text())
    assert token.headers["Authorization"].split(":")[0] == key.with_suffix(".pub").read_text().split()[1]
    assert registry.count("/token") == 1


async def test_the_key_stays_the_same(registry: Registry, tmp_path: Path) -> None:
    registry.add("me/m", *LAYERS)
    registry.token = "secret"
    for _ in range(2):
        await (await make_store(tmp_path / "home")).pull(registry.name())
        shutil.rmtree(tmp_path / "home" / "models")
    keys = {seen.headers["Authorization"].split(":")[0] for seen in registry.seen if "/token" in seen.path}
    assert len(keys) == 1


async def test_a_damaged_key_is_named(registry: Registry, store: Store, tmp_path: Path) -> None:
    registry.token = "secret"
    (tmp_path / "home" / "id_ed25519").write_text("nonsense")
    with pytest.raises(PollamaError, match="id_ed25519 is no unencrypted OpenSSH private key"):
        await store.pull(registry.name())


async def test_nobody_else_gets_a_signature(registry: Registry, store: Store) -> None:
    registry.token, registry.realm = "secret", f"http://{registry.cdn_host}/token"
    error = f'realm host "{registry.cdn_host}" does not match original host "{registry.host}"'
    with pytest.raises(PollamaError, match=re.escape(error)):
        await store.pull(registry.name())
    assert registry.count("/token") == 0


async def test_a_token_that_does_not_help(registry: Registry, store: Store) -> None:
    registry.failures += [("manifests", 401, "")]
    registry.failures += [("manifests", 401, "")]
    registry.token = "secret"
    with pytest.raises(PollamaError, match='realm host "" does not match'):
        await store.pull(registry.name())


async def test_a_redirect_to_another_host_takes_no_token_along(registry: Registry, store: Store) -> None:
    registry.add("me/m", *LAYERS)
    registry.token, registry.cdn = "secret", True
    await store.pull(registry.name())
    elsewhere = [seen for seen in registry.seen if seen.path.startswith("/cdn/")]
    assert elsewhere
    assert not any("Authorization" in seen.headers for seen in elsewhere)
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("ranges", [True, False])
async def test_parts_of_a_blob_fit_together(registry: Registry, store: Store, ranges: bool) -> None:
    registry.add("me/m", *LAYERS)
    registry.ranges = ranges
    await store.pull(registry.name())
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS
    wanted = [seen.headers["Range"] for seen in registry.seen if "Range" in seen.headers and WEIGHTS_PATH in seen.path]
    assert len(wanted) == 11
    assert "bytes=1000-1999" in wanted
    assert "bytes=10000-10239" in wanted


async def test_passing_failures_are_tried_again_with_growing_waits(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.failures += [(f"GET .*{WEIGHTS_PATH}", 500, "later")] * 2
    await store.pull(registry.name())
    assert store.slept == [1.0, 2.0]
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


async def test_failures_that_do_not_pass(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.failures += [(f"GET .*{WEIGHTS_PATH}", 503, "closed")] * 6
    with pytest.raises(PollamaError, match=r"^max retries exceeded: 503: closed$"):
        await store.pull(registry.name())
    assert store.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_a_stall_begins_the_part_again_where_it_was(registry: Registry, tmp_path: Path) -> None:
    store = await make_store(tmp_path / "home", stall=0.05)
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.stalls = 2
    await store.pull(registry.name())
    assert store.slept == []
    wanted = [seen.headers["Range"] for seen in registry.seen if "Range" in seen.headers]
    assert wanted[:3] == [f"bytes={start}-10239" for start in range(3)]
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


async def test_a_corrupted_blob_is_removed(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    wrong = WEIGHTS[:-1] + b"?"
    registry.sent[WEIGHTS_PATH] = wrong
    error = f"digest mismatch, file must be downloaded again: want {WEIGHTS_PATH}, got {digest_of(wrong)}"
    with pytest.raises(PollamaError, match=f"^{error}$"):
        await store.pull(registry.name())
    assert store.files == set()
    registry.sent.clear()
    assert (await store.pull(registry.name()))[-1].status == "success"


async def test_a_missing_blob(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    del registry.blobs[WEIGHTS_PATH]
    with pytest.raises(PollamaError, match=r"^file does not exist$"):
        await store.pull(registry.name())
    assert store.slept == []
    assert store.files == set()


async def test_a_download_that_was_stopped_goes_on_where_it_was(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.gate = asyncio.Event()
    pull = asyncio.create_task(store.pull(registry.name()))
    await registry.waiting.wait()
    pull.cancel()
    await asyncio.wait({pull})
    await registry.left.wait()
    state = json.loads(store.blob(WEIGHTS, "-partial-0").read_bytes())
    assert store.blob(WEIGHTS, "-partial").stat().st_size == len(WEIGHTS)
    assert state == {"N": 0, "Offset": 0, "Size": 10240, "Completed": state["Completed"]}
    registry.gate.set()
    registry.seen.clear()
    await store.pull(registry.name())
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS
    assert registry.seen[2].headers["Range"] == f"bytes={state['Completed']}-10239"
    assert not list(store.root.glob("blobs/*-partial*"))


async def test_a_download_that_ollama_began_is_finished(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    store.blob(WEIGHTS, "-partial").write_bytes(WEIGHTS[:5000] + bytes(5240))
    store.blob(WEIGHTS, "-partial-0").write_text('{"N":0,"Offset":0,"Size":4000,"Completed":4000}\n')
    store.blob(WEIGHTS, "-partial-1").write_text('{"N":1,"Offset":4000,"Size":6240,"Completed":1000}\n')
    await store.pull(registry.name())
    wanted = [seen.headers["Range"] for seen in registry.seen if WEIGHTS_PATH in seen.path and "Range" in seen.headers]
    assert wanted == ["bytes=5000-10239"]
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


@pytest.mark.parametrize("state", ["", "{", '{"N":0,"Offset":5,"Size":10235,"Completed":0}'])
async def test_states_that_cannot_be_used_are_thrown_away(registry: Registry, store: Store, state: str) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    store.blob(WEIGHTS, "-partial").write_bytes(b"?" * 10240)
    store.blob(WEIGHTS, "-partial-0").write_text(state)
    await store.pull(registry.name())
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


async def test_states_without_their_bytes_are_thrown_away(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    store.blob(WEIGHTS, "-partial-0").write_text('{"N":0,"Offset":0,"Size":10240,"Completed":10240}')
    await store.pull(registry.name())
    assert store.blob(WEIGHTS).read_bytes() == WEIGHTS


async def test_pulls_of_one_model_share_a_download(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.gate = asyncio.Event()
    first, second = (asyncio.create_task(store.pull(registry.name())) for _ in range(2))
    await registry.waiting.wait()
    while registry.count("manifests") < 2:
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    registry.gate.set()
    assert (await second)[-1].status == "success"
    assert sum("Range" in seen.headers for seen in registry.seen if WEIGHTS_PATH in seen.path) == 1


async def test_servers_that_share_a_store_download_once(registry: Registry, tmp_path: Path) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    stores = [await make_store(tmp_path / "home") for _ in range(2)]
    await asyncio.gather(*(store.pull(registry.name()) for store in stores))
    assert sum("Range" in seen.headers for seen in registry.seen if WEIGHTS_PATH in seen.path) == 1
    assert stores[0].files == {stores[0].blob(data).name for data in (WEIGHTS, b"{}")}


async def test_a_download_stops_when_nobody_waits_for_it(registry: Registry, store: Store) -> None:
    registry.add("me/m", (media.MODEL, WEIGHTS))
    registry.gate = asyncio.Event()
    pulls = [asyncio.create_task(store.pull(registry.name())) for _ in range(2)]
    await registry.waiting.wait()
    for pull in pulls:
        pull.cancel()
    await asyncio.wait(pulls)
    await registry.left.wait()
    assert all(pull.cancelled() for pull in pulls)


@pytest.mark.parametrize(
    ("total", "sizes"),
    [
        (0, []),
        (53, [53]),
        (100_000_000, [100_000_000]),
        (100_000_001, [100_000_000, 1]),
        (1_600_000_001, [100_000_000] * 16 + [1]),
        (5_200_000_000, [325_000_000] * 16),
        (20_000_000_000, [1_000_000_000] * 20),
    ],
)
def test_division_into_parts(total: int, sizes: list[int]) -> None:
    assert [part.size for part in divide(total)] == sizes
