"""Blobs: whole or not at all, whatever happens on the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pollama.errors import BadRequestError, DigestMismatchError
from pollama.models.blobs import BlobStore
from pollama.models.blobs import upload as begin_upload
from pollama.models.library import ModelLibrary
from tests.models.fixtures import digest_of, upload

FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from pollama.errors import StoreError
from pollama.models.library import ModelLibrary
from tests.models.fixtures import PlainInspector, digest_of

async def main():
    library = ModelLibrary(Path(sys.argv[1]), PlainInspector())
    await library.open()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    data = bytes(8 << 20)
    try:
        async with library.open_upload(digest_of(data)) as blob:
            for _ in range(8):
                await blob.write(data[: 1 << 20])
            await blob.commit()
    except StoreError as error:
        print(error)

asyncio.run(main())
"""

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pollama.models.library import ModelLibrary
from tests.models.fixtures import PlainInspector

async def main():
    library = ModelLibrary(Path(sys.argv[1]), PlainInspector())
    await library.open()
    async with library.open_upload(sys.argv[2]) as blob:
        await blob.write(bytes(5 << 20))
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def run(script: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    command = [sys.executable, "-c", script, str(root), *arguments]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)


def blobs(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "blobs").iterdir())


async def test_an_upload_becomes_a_blob(library: ModelLibrary, root: Path) -> None:
    data = bytes(range(256)) * 40_000
    digest = digest_of(data)
    assert not await library.has_blob(digest)
    async with library.open_upload(digest) as blob:
        for begin in range(0, len(data), 100_000):
            await blob.write(data[begin : begin + 100_000])
        await blob.commit()
    assert await library.has_blob(digest)
    assert await library.has_blob(digest.replace(":", "-"))
    path = root / "blobs" / digest.replace(":", "-")
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("digest", ["", "nonsense", "sha256:abc", "sha512:" + "a" * 64, "sha256:" + "g" * 64, "../x"])
async def test_malformed_digests(library: ModelLibrary, digest: str) -> None:
    with pytest.raises(BadRequestError, match="invalid digest format"):
        await library.has_blob(digest)
    with pytest.raises(BadRequestError, match="invalid digest format"):
        async with library.open_upload(digest):
            pass


async def test_other_bytes_are_refused_and_kept_under_their_own_digest(library: ModelLibrary, root: Path) -> None:
    wrong = digest_of(b"expected")
    async with library.open_upload(wrong) as blob:
        await blob.write(b"other")
        with pytest.raises(DigestMismatchError) as caught:
            await blob.commit()
    assert str(caught.value) == f'digest mismatch, expected "{wrong}", got "{digest_of(b"other")}"'
    assert blobs(root) == [digest_of(b"other").replace(":", "-")]


async def test_an_upload_that_is_given_up_leaves_nothing(library: ModelLibrary, root: Path) -> None:
    async with library.open_upload(digest_of(b"x")) as blob:
        await blob.write(bytes(5 << 20))
    assert blobs(root) == []


async def test_a_cancelled_upload_leaves_nothing(library: ModelLibrary, root: Path) -> None:
    started = asyncio.Event()

    async def send() -> None:
        async with library.open_upload(digest_of(b"x")) as blob:
            await blob.write(bytes(5 << 20))
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(send())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blobs(root) == []


class HeldStore(BlobStore):
    """A store in which commits wait for ``released``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reached = threading.Event()
        self.released = threading.Event()

    def touch(self, digest: str) -> bool:
        self.reached.set()
        assert self.released.wait(60)
        return super().touch(digest)


async def test_a_commit_goes_to_its_end_before_its_file_is_closed(tmp_path: Path) -> None:
    store = HeldStore(tmp_path / "blobs")

    async def send() -> None:
        async with begin_upload(store, digest_of(b"x")) as blob:
            await blob.write(b"x")
            await blob.commit()

    task = asyncio.create_task(send())
    assert await asyncio.to_thread(store.reached.wait, 60)
    for _ in range(10):  # each time the task gets to where it handles the cancellation
        task.cancel()
        await asyncio.sleep(0)
    store.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blobs(tmp_path) == [digest_of(b"x").replace(":", "-")]


async def test_the_same_blob_at_the_same_time(library: ModelLibrary, root: Path) -> None:
    data = b"same" * 1_000_000
    assert set(await asyncio.gather(*(upload(library, data) for _ in range(8)))) == {digest_of(data)}
    assert blobs(root) == [digest_of(data).replace(":", "-")]


def test_a_stored_blob_is_found_again_and_touched(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    first = store.put(b"data")
    path = store.path(first.digest)
    path_time = path.stat().st_mtime_ns
    again = store.put(b"data")
    assert (first.created, again.created, again.size) == (True, False, 4)
    assert path.stat().st_mtime_ns >= path_time
    assert store.read(first.digest) == b"data"


def test_a_full_disk_is_named_and_leaves_nothing(root: Path) -> None:
    done = run(FULL_DISK, root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"blob below {root / 'blobs'} cannot be written: the disk is full (EFBIG)"
    assert blobs(root) == []


async def test_a_killed_upload_leaves_no_blob(root: Path, library: ModelLibrary) -> None:
    digest = digest_of(bytes(5 << 20))
    done = run(KILLED, root, digest)
    assert done.returncode == -9
    assert not await library.has_blob(digest)
    assert await upload(library, bytes(5 << 20)) == digest
    assert await library.has_blob(digest)
