"""Resolved models, kept for as long as their manifest file does not change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeAlias

from pollama.models import manifest, stored
from pollama.models.folder import StoreFolder
from pollama.models.names import ModelName
from pollama.types.model import Model
from pollama.types.ports import Inspector

_Stamp: TypeAlias = tuple[int, int, int]
"""Modification time (ns), size and inode of a manifest: a changed or replaced file has another one."""


class ModelCache:
    """Reads each manifest once; a hit costs one ``stat``, concurrent misses of one model share the work."""

    def __init__(self, folder: StoreFolder, inspector: Inspector) -> None:
        self._folder = folder
        self._inspector = inspector
        self._models: dict[Path, tuple[_Stamp, Model]] = {}
        self._loading: dict[tuple[Path, _Stamp], asyncio.Task[Model]] = {}

    async def get(self, name: ModelName) -> Model | None:
        """Return the model of a valid name, whatever its case, or None when there is no such manifest.

        Raises StoreError or WeightsError when the model cannot be read.
        """
        path = self._folder.path(name)
        stamp = self._stamp(path)
        if stamp is None:
            name = await asyncio.to_thread(self._folder.located, name)
            path = self._folder.path(name)
            stamp = self._stamp(path)
        if stamp is None:
            return None
        known = self._models.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            return await self._load(name, path, stamp)
        except FileNotFoundError:
            return None  # deleted just now

    def _stamp(self, path: Path) -> _Stamp | None:
        try:
            status = path.stat()
        except OSError:
            self._models.pop(path, None)
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    async def _load(self, name: ModelName, path: Path, stamp: _Stamp) -> Model:
        task = self._loading.get((path, stamp))
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._read, name, path))
            self._loading[path, stamp] = task
            task.add_done_callback(lambda done: self._loaded(path, stamp, done))
        return await asyncio.shield(task)

    def _loaded(self, path: Path, stamp: _Stamp, task: asyncio.Task[Model]) -> None:
        del self._loading[path, stamp]
        if not task.cancelled() and task.exception() is None:
            self._models[path] = (stamp, task.result())

    def _read(self, name: ModelName, path: Path) -> Model:
        model = stored.load(name, manifest.read(path), self._folder.blobs)
        return Model(stored=model, traits=self._inspector.traits(model))
