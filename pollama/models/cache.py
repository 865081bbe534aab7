"""Resolved models, kept for as long as their manifest file does not change."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TypeAlias

from pollama.models import manifest, stored
from pollama.models.folder import StoreFolder
from pollama.models.names import ModelName
from pollama.types.model import Model
from pollama.types.ports import Inspector

_Stamp: TypeAlias = tuple[int, int, int]
"""Modification time (ns), size and inode of a manifest: a changed or replaced file has another one."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    stamp: _Stamp
    model: Model


class ModelCache:
    """Reads each manifest once; a hit costs one ``stat``, concurrent misses of one model share the work."""

    def __init__(self, folder: StoreFolder, inspector: Inspector) -> None:
        self._folder = folder
        self._inspector = inspector
        self._entries: dict[ModelName, _Entry] = {}
        self._loading: dict[tuple[ModelName, _Stamp], asyncio.Task[Model]] = {}

    async def get(self, name: ModelName) -> Model | None:
        """Return the model of a valid name, whatever its case, or None when there is no such manifest.

        Raises StoreError or WeightsError when the model cannot be read.
        """
        entry = self._entries.get(name)
        if entry is not None and _stamp(entry.path) == entry.stamp:
            return entry.model
        name = await asyncio.to_thread(self._folder.located, name)
        stamp = _stamp(str(self._folder.path(name)))
        if stamp is None:
            self._entries.pop(name, None)
            return None
        try:
            return await self._load(name, stamp)
        except FileNotFoundError:
            return None  # deleted just now

    async def _load(self, name: ModelName, stamp: _Stamp) -> Model:
        entry = self._entries.get(name)
        if entry is not None and entry.stamp == stamp:
            return entry.model
        task = self._loading.get((name, stamp))
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._read, name))
            self._loading[name, stamp] = task
            task.add_done_callback(lambda done: self._loaded(name, stamp, done))
        return await asyncio.shield(task)

    def _loaded(self, name: ModelName, stamp: _Stamp, task: asyncio.Task[Model]) -> None:
        del self._loading[name, stamp]
        if not task.cancelled() and task.exception() is None:
            self._entries[name] = _Entry(str(self._folder.path(name)), stamp, task.result())

    def _read(self, name: ModelName) -> Model:
        model = stored.load(name, manifest.read(self._folder.path(name)), self._folder.blobs)
        return Model(stored=model, traits=self._inspector.traits(model))


def _stamp(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path object would cost more than the call itself)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
