"""The model store as the rest of pollama uses it: ``Library`` on top of a folder that Ollama would recognise."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pollama.errors import InvalidNameError, ModelNotFoundError
from pollama.models import blobs, names
from pollama.models.cache import ModelCache
from pollama.models.folder import StoreFolder
from pollama.types.model import Model
from pollama.types.ports import Inspector


class ModelLibrary:
    """The models below ``root``. ``prune`` false keeps blobs that a replaced model leaves unused (OLLAMA_NOPRUNE)."""

    def __init__(self, root: Path, inspector: Inspector, *, prune: bool = True) -> None:
        self._folder = StoreFolder(root)
        self._inspector = inspector
        self._prune = prune
        self._models = ModelCache(self._folder, inspector)

    async def resolve(self, name: str) -> Model:
        """Return the model that ``name`` stands for. See ``Library.resolve``."""
        reference = names.parse_reference(name)
        wanted = names.parse(reference.stored_base)
        if not wanted.is_valid:
            raise InvalidNameError(name)
        model = await self._models.get(wanted)
        if model is None or (reference.source == "local" and model.stored.config.remote_model):
            raise ModelNotFoundError(name)
        return model

    def asks_for_cloud(self, name: str) -> bool:
        """Tell whether ``name`` explicitly means a model of Ollama's cloud. Raises as ``resolve`` for a bad name."""
        reference = names.parse_reference(name)
        if not names.parse(reference.base).is_valid:
            raise InvalidNameError(name)
        return reference.source == "cloud"

    async def has_blob(self, digest: str) -> bool:
        """Tell whether a blob is stored. Raises BadRequestError for a malformed digest."""
        return await asyncio.to_thread(self._folder.blobs.path(digest).is_file)

    def open_upload(self, digest: str) -> AbstractAsyncContextManager[blobs.Upload]:
        """Begin an upload; what is not committed leaves nothing behind."""
        return blobs.upload(self._folder.blobs, digest)
