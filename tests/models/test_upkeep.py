"""Start-up maintenance, and several processes on one store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pollama.models.folder import StoreFolder
from pollama.models.library import ModelLibrary
from pollama.models.names import ModelName
from pollama.models.prune import prune
from tests.models.fixtures import PlainInspector, digest_of, import_gguf

HOUR = 3600
REPOSITORY = Path(__file__).parents[2]

BUSY = """
import asyncio, sys
from pathlib import Path
from pollama.models.library import ModelLibrary
from tests.models.fixtures import PlainInspector, create

async def main(root, own):
    library = ModelLibrary(Path(root), PlainInspector())
    for turn in range(15):
        await library.open()
        shared = f"text {turn % 3}"
        await create(library, own, source="base", system=shared, licenses=[own])
        assert (await library.resolve(own)).stored.system == shared
        await library.list()
        await library.delete(own)
    await create(library, own, source="base", system="last", licenses=[own])

asyncio.run(main(*sys.argv[1:]))
"""


def age(path: Path, seconds: float) -> Path:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


def old_blob(root: Path, name: str) -> Path:
    path = root / "blobs" / name
    path.write_bytes(b"x")
    return age(path, 2 * HOUR)


async def reopened(root: Path, *, prune: bool = True) -> ModelLibrary:
    library = ModelLibrary(root, PlainInspector())
    await library.open(prune=prune)
    return library


UNUSED = "sha256-" + "a" * 64


async def test_what_nothing_uses_is_removed_after_an_hour(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    for path in (root / "blobs").iterdir():
        age(path, 2 * HOUR)
    gone = [old_blob(root, name) for name in (UNUSED, f"{UNUSED}-partial", f"{UNUSED}-partial-0", "sha256-123", "note")]
    young = age(old_blob(root, "sha256-" + "b" * 64), HOUR / 2)
    folder = root / "blobs" / "ollama-safetensors1"
    folder.mkdir()
    (root / "manifests/registry.ollama.ai/library/empty").mkdir()
    left = age(root / "manifests" / _touch(root / "manifests/.new-crashed"), 2 * HOUR)
    again = await reopened(root)
    assert not any(path.exists() for path in [*gone, left, root / "manifests/registry.ollama.ai/library/empty"])
    assert young.exists()
    assert folder.exists()
    assert await again.has_blob(digest)
    assert (await again.resolve("base")).stored.config.model_family == "llama"


def _touch(path: Path) -> str:
    path.write_text("")
    return path.name


async def test_no_prune(library: ModelLibrary, root: Path) -> None:
    path = old_blob(root, UNUSED)
    await reopened(root, prune=False)
    assert path.exists()


async def test_a_damaged_manifest_stops_the_prune(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    path = old_blob(root, UNUSED)
    stray = root / "manifests/registry.ollama.ai/library/base/.DS_Store"
    stray.write_text("x")
    await reopened(root)
    assert path.exists()
    stray.rename(stray.with_name("other"))
    await reopened(root)
    assert path.exists()
    stray.with_name("other").unlink()
    await reopened(root)
    assert not path.exists()


async def test_blobs_named_with_a_colon_are_renamed(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    path = root / "blobs" / digest.replace(":", "-")
    path.rename(path.with_name(digest))
    again = await reopened(root)
    assert await again.has_blob(digest)


async def test_processes_share_a_store(library: ModelLibrary, root: Path, weights: Path) -> None:
    digest = await import_gguf(library, weights)
    running = [
        subprocess.Popen([sys.executable, "-c", BUSY, str(root), f"m{number}"], cwd=REPOSITORY) for number in range(3)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert {entry.name for entry in await library.list()} == {"base:latest", "m0:latest", "m1:latest", "m2:latest"}
    for name in ("m0", "m1", "m2"):
        stored = (await library.resolve(name)).stored
        assert (stored.system, stored.licenses) == ("last", (name,))
    assert await library.has_blob(digest)
    expected = {digest, digest_of(b"last"), *(digest_of(f"m{number}".encode()) for number in range(3))}
    assert {digest.replace(":", "-") for digest in expected} <= {path.name for path in (root / "blobs").iterdir()}
    assert not list((root / "manifests").glob(".*"))


class Vanishing(StoreFolder):
    """A store in which every manifest is removed by another process as soon as it has been listed."""

    def entries(self) -> Iterator[tuple[ModelName | None, Path]]:
        for name, path in super().entries():
            path.unlink()
            yield name, path


async def test_manifests_that_vanish_do_not_stop_the_prune(library: ModelLibrary, root: Path, weights: Path) -> None:
    await import_gguf(library, weights)
    path = old_blob(root, UNUSED)
    prune(Vanishing(root), time.time())
    assert not path.exists()


def test_files_that_vanish_do_not_stop_the_prune(root: Path) -> None:
    folder = StoreFolder(root)
    folder.prepare()
    path = old_blob(root, UNUSED)
    for gone in (root / "blobs" / ("sha256-" + "c" * 64), root / "manifests/.new-gone"):
        gone.symlink_to("nowhere")  # listed, but not there when it is looked at
    prune(folder, time.time())
    assert not path.exists()
