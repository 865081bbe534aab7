"""The folder of a store: manifests by name, the lock that changes of it take, and its upkeep."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pollama.errors import StoreError
from pollama.models import manifest, names
from pollama.models.blobs import BlobStore, publish, store_errors
from pollama.models.manifest import Manifest, ManifestFile
from pollama.models.names import ModelName

logger = logging.getLogger(__name__)

_TEMPORARY: Final = ".new-"


class StoreFolder:
    """``manifests/`` and ``blobs/`` below one root. All methods block.

    Manifests are replaced by renames, so readers need no lock. What refers to blobs (writing a manifest) takes a
    shared lock on the folder ``blobs/``, what removes them an exclusive one: two processes can share a store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "manifests"
        self.blobs = BlobStore(root / "blobs")

    def path(self, name: ModelName) -> Path:
        """Return where the manifest of a valid name lies, or would lie."""
        return self.manifests / name.path

    def prepare(self) -> None:
        """Create the folders. Raises StoreError when they cannot be used."""
        for folder in (self.manifests, self.blobs.folder):
            with store_errors(f"model folder {folder} cannot be used: ensure path elements are traversable"):
                folder.mkdir(parents=True, exist_ok=True)
                next(folder.iterdir(), None)

    def names(self) -> list[ModelName]:
        """Return the names of all manifests. Raises StoreError when the folder cannot be read."""
        return [name for name, _ in self.entries() if name is not None]

    def entries(self) -> Iterator[tuple[ModelName | None, Path]]:
        """Yield every file at the depth of manifests, with None for one whose path is no name."""
        for path in self._files():
            name = names.from_path(path.relative_to(self.manifests).as_posix())
            if name is None:
                logger.warning("bad manifest name: %s", path)
            yield name, path

    def _files(self) -> list[Path]:
        with store_errors(f"model folder {self.manifests} cannot be read: ensure path elements are traversable"):
            if not self.manifests.exists():
                return []
            next(self.manifests.iterdir(), None)
            return sorted(path for folder in self.model_folders() for path in _entries(folder) if path.is_file())

    def model_folders(self) -> list[Path]:
        """Return the folders that hold tags: ``manifests/<host>/<namespace>/<model>``."""
        folders = [self.manifests]
        for _ in ("host", "namespace", "model"):
            folders = [entry for folder in folders for entry in _entries(folder) if entry.is_dir()]
        return folders

    def located(self, name: ModelName) -> ModelName:
        """Return ``name`` in the spelling of the store (case is ignored)."""
        if name.is_valid and not self.holds(name):
            return names.respelled(name, self.names())
        return name

    def holds(self, name: ModelName) -> bool:
        """Tell whether there is a manifest of exactly that spelling."""
        return os.path.exists(self.path(name))  # noqa: PTH110 - Path.exists raises for names that no file can have

    def readable(self) -> list[tuple[ModelName, ManifestFile]]:
        """Return all manifests that can be read; the others are logged."""
        found = []
        for name, path in self.entries():
            if name is None:
                continue
            try:
                found.append((name, manifest.read(path)))
            except FileNotFoundError:
                continue
            except StoreError as error:
                logger.warning("bad manifest: %s", error)
        return found

    def write(self, name: ModelName, data: bytes, required: Manifest) -> None:
        """Put the bytes of a manifest in place once all blobs that it needs are there. Raises StoreError."""
        path = self.path(name)
        with self.locked(exclusive=False):
            for digest in required.digests():
                self.blobs.existing(digest)
            with store_errors(f"manifest {path} cannot be written"):
                path.parent.mkdir(parents=True, exist_ok=True)
                _replace(path, data, self.manifests)

    def digests_of(self, name: ModelName) -> set[str]:
        """Return the blobs that the manifest of ``name`` refers to; none when it is missing or damaged."""
        with contextlib.suppress(FileNotFoundError, StoreError):
            return manifest.read(self.path(name)).manifest.digests()
        return set()

    def discard(self, digests: set[str]) -> None:
        """Remove those blobs that no readable manifest refers to. Raises StoreError."""
        if digests:
            with self.locked(exclusive=True):
                self.remove_unused(digests)

    def remove(self, path: Path) -> None:
        """Remove a manifest and the folders that it leaves empty; the caller holds the exclusive lock."""
        with store_errors(f"manifest {path} cannot be removed"):
            path.unlink()
        self.drop_empty(path.parent)

    def drop_empty(self, folder: Path) -> None:
        """Remove ``folder`` and its parents below ``manifests/`` as far as they are empty."""
        while folder != self.manifests and folder.is_relative_to(self.manifests):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def remove_unused(self, digests: set[str]) -> None:
        """Remove those blobs that no readable manifest refers to; the caller holds the exclusive lock."""
        used = {digest for _, file in self.readable() for digest in file.manifest.digests()}
        for digest in digests - used:
            with store_errors(f"blob {digest} cannot be removed"):
                self.blobs.path(digest).unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Return the temporary files of manifests; those of a process that crashed stay behind."""
        return list(self.manifests.glob(f"{_TEMPORARY}*"))

    @contextmanager
    def locked(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock that keeps processes from removing blobs that another is about to refer to."""
        with store_errors(f"model folder {self.blobs.folder} cannot be locked"):
            self.blobs.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.blobs.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing where it is gone (another process cleans up too) or not ours to read."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _replace(path: Path, data: bytes, scratch: Path) -> None:
    """Write a file whole or not at all; ``scratch`` is a folder of the same file system."""
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=scratch)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            publish(Path(temporary), file.fileno(), path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
