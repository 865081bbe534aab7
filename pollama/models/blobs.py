"""The blobs of the store: files that are named by the SHA-256 of their bytes.

A blob appears under its name only when it is complete: it is written to a temporary file beside it, flushed to
the disk and renamed. A crash leaves at most that temporary file, which the start-up prune removes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pollama.errors import BadRequestError, DigestMismatchError, StoreError
from pollama.models.threads import to_its_end

_DIGEST: Final = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
_WRITE_SIZE: Final = 4 << 20
"""Bytes that are gathered before a thread is troubled with them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that was put into the store. ``created`` is false when it had been there before."""

    digest: str
    size: int
    created: bool


class BlobStore:
    """The folder ``blobs/`` of a store. All methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return where the blob lies, or would lie. Raises BadRequestError ``invalid digest format``."""
        if _DIGEST.fullmatch(digest) is None:
            raise BadRequestError("invalid digest format")
        return self.folder / digest.replace(":", "-")

    def existing(self, digest: str) -> Path:
        """Return the path of a blob that must be there. Raises StoreError when it is missing."""
        path = self.path(digest)
        if not path.is_file():
            raise StoreError(f"blob {digest} is missing: open {path}: no such file or directory")
        return path

    def read(self, digest: str) -> bytes:
        """Return the bytes of a small blob. Raises StoreError when they cannot be read."""
        path = self.existing(digest)
        with store_errors(f"blob {path} cannot be read"):
            return path.read_bytes()

    def put(self, data: bytes) -> Stored:
        """Store ``data``. Raises StoreError when it cannot be written."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.touch(digest):
            return Stored(digest, len(data), created=False)
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()

    def touch(self, digest: str) -> bool:
        """Mark a blob as just used, which protects it from the prune. Returns whether it is there."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        except PermissionError:
            return True  # another user's store that we may only read
        return True

    def adopt(self, path: Path) -> Stored:
        """Make a finished file below ``blobs/`` a blob. Raises StoreError."""
        with store_errors(f"{path} cannot be made a blob"), path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            created = not self.touch(digest)
            if created:
                publish(path, file.fileno(), self.path(digest))
        return Stored(digest, self.path(digest).stat().st_size, created)

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """Begin a blob; unless it is committed, nothing of it stays."""
        with store_errors(f"no blob can be written below {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = tempfile.NamedTemporaryFile(prefix="sha256-", dir=self.folder, delete=False)  # noqa: SIM115
        writer = BlobWriter(self, handle, Path(handle.name))
        try:
            yield writer
        finally:
            writer.discard()


class BlobWriter:
    """A blob on its way into the store."""

    def __init__(self, store: BlobStore, file: IO[bytes], path: Path) -> None:
        self._store = store
        self._file = file
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes. Raises StoreError when the disk is full."""
        with store_errors(f"blob below {self._store.folder} cannot be written"):
            self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def commit(self) -> Stored:
        """Put the blob in place under the digest of what was written. Raises StoreError."""
        digest = f"sha256:{self._hash.hexdigest()}"
        target = self._store.path(digest)
        created = not self._store.touch(digest)
        if created:
            with store_errors(f"blob {target} cannot be written"):
                self._file.flush()
                publish(self._path, self._file.fileno(), target)
        return Stored(digest, self._size, created)

    def discard(self) -> None:
        """Close and remove the temporary file, if it is still there."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class Upload:
    """A client's upload of one blob: chunks are gathered and written by a thread."""

    def __init__(self, writer: BlobWriter, digest: str) -> None:
        self._writer = writer
        self._digest = digest
        self._pending = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Append bytes. Raises StoreError when the disk is full."""
        self._pending += chunk
        if len(self._pending) >= _WRITE_SIZE:
            await self._flush()

    async def commit(self) -> None:
        """Put the blob in place. Raises DigestMismatchError when it is not the one that was announced.

        As in Ollama the bytes are kept then, under their own digest, and digests are compared as text.
        """
        await self._flush()
        stored = await to_its_end(self._writer.commit)
        if stored.digest != self._digest:
            raise DigestMismatchError(f'digest mismatch, expected "{self._digest}", got "{stored.digest}"')

    async def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        await to_its_end(lambda: self._writer.write(pending))


@asynccontextmanager
async def upload(store: BlobStore, digest: str) -> AsyncIterator[Upload]:
    """Begin an upload. Raises BadRequestError for a malformed digest; what is not committed leaves nothing behind."""
    store.path(digest)
    with store.writer() as writer:
        try:
            yield Upload(writer, digest)
        finally:
            await to_its_end(writer.discard)


def publish(path: Path, descriptor: int, target: Path) -> None:
    """Put the finished file ``path``, open as ``descriptor``, in its place: for ever, and for everybody to read."""
    os.fsync(descriptor)
    path.chmod(0o644)
    path.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn operating system errors into StoreError with ``what`` in front; a full disk is named as such."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        reason = error.strerror or str(error)
        raise StoreError(f"{what}: {'the disk is full' if full else reason} ({errno_name(error)})") from error


def errno_name(error: OSError) -> str:
    """Return the symbolic name of an operating system error, such as ENOSPC."""
    return errno.errorcode.get(error.errno or 0, "unknown")
