"""Start-up maintenance: repairs old blob names and removes what no model uses any more."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pollama.errors import BadRequestError, StoreError
from pollama.models import manifest
from pollama.models.blobs import store_errors
from pollama.models.folder import StoreFolder

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 3600.0
"""Files younger than this stay: another process may be about to refer to them, or a download may go on."""


def rename_old_blobs(folder: StoreFolder) -> None:
    """Give blobs that are named with a colon, as early versions did, today's name."""
    with store_errors(f"blobs below {folder.blobs.folder} cannot be renamed"):
        for path in list(folder.blobs.folder.rglob("sha256:*")):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                path.replace(path.with_name(path.name.replace("sha256:", "sha256-", 1)))


def prune(folder: StoreFolder, now: float) -> None:
    """Remove unused blobs and abandoned files at least an hour old; ``now`` is Unix time.

    Does nothing when a manifest cannot be read: what it refers to is unknown then. Raises StoreError.
    """
    with folder.locked(exclusive=True):
        try:
            used = set(_references(folder))
        except StoreError as error:
            logger.warning("%s", error)
            logger.warning("corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear")
            return
        _remove_unused(folder, used, now - GRACE_SECONDS)
        _drop_empty_folders(folder)


def _references(folder: StoreFolder) -> Iterator[str]:
    for name, path in folder.entries():
        if name is None:
            raise StoreError(f"bad manifest name: {path}")
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            yield from map(_file_name, manifest.read(path).manifest.digests())


def _remove_unused(folder: StoreFolder, used: set[str], before: float) -> None:
    blobs = list(_files(folder.blobs.folder))
    logger.info("total blobs: %d", len(blobs))
    unused = [path for path in blobs if path.name not in used and _is_older(path, before)]
    abandoned = [path for path in folder.leftovers() if _is_older(path, before)]
    for path in (*unused, *abandoned):
        with store_errors(f"{path} cannot be removed"):
            path.unlink(missing_ok=True)
    logger.info("total unused blobs removed: %d", sum(_is_blob(folder, path) for path in unused))


def _drop_empty_folders(folder: StoreFolder) -> None:
    for path in sorted(folder.model_folders(), reverse=True):
        if path.is_dir():
            folder.drop_empty(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.is_dir())


def _is_older(path: Path, moment: float) -> bool:
    """Return whether a file is at least as old as ``moment``; one that is gone since it was listed is not."""
    try:
        return path.stat().st_mtime <= moment
    except FileNotFoundError:
        return False


def _is_blob(folder: StoreFolder, path: Path) -> bool:
    try:
        folder.blobs.path(path.name)
    except BadRequestError:
        return False
    return True


def _file_name(digest: str) -> str:
    return digest.replace(":", "-")
