"""The model store as the rest of pollama uses it: ``Library`` on top of a folder that Ollama would recognise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from pathlib import Path

from pollama.errors import BadRequestError, InvalidNameError, ModelNotFoundError, StoreError, WeightsError
from pollama.models import blobs, manifest, names, stored
from pollama.models.bundled import Bundled, pull_bundled
from pollama.models.cache import ModelCache
from pollama.models.create import Creation
from pollama.models.describe import describe, details, listing
from pollama.models.folder import StoreFolder
from pollama.models.huggingface.hub import Hub, is_on_hub
from pollama.models.huggingface.pull import HubPuller
from pollama.models.manifest import ManifestFile
from pollama.models.names import ModelName
from pollama.models.prune import prune, rename_old_blobs
from pollama.models.registry.client import RegistryAccess
from pollama.models.registry.fetch import Fetcher
from pollama.models.registry.pull import Puller
from pollama.models.registry.push import push
from pollama.types.events import Progress
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.library import CreateRequest, ModelDescription, ModelListing
from pollama.types.model import Model
from pollama.types.ports import Inspector


class ModelLibrary:
    """The models below ``root``, which other processes may use at the same time. Call ``open`` first."""

    def __init__(
        self,
        root: Path,
        inspector: Inspector,
        bundled: Mapping[str, Bundled] | None = None,
        access: RegistryAccess | None = None,
        hub: Hub | None = None,
    ) -> None:
        """``bundled`` are the models that come with pollama, by short name.

        ``access`` is how registries are spoken to: by default directly, with a key beside the store. ``hub`` is
        where the models of Hugging Face are: by default where its own variables say.
        """
        self._bundled = bundled or {}
        self._folder = StoreFolder(root)
        self._inspector = inspector
        self._models = ModelCache(self._folder, inspector)
        self._access = access or RegistryAccess(key=root.parent / "id_ed25519")
        fetcher = Fetcher(self._folder, self._access)
        self._puller = Puller(self._folder, self._access, fetcher)
        self._hub_puller = HubPuller(self._folder, self._access, fetcher, hub or Hub(), self.create)
        self._prune = True

    async def open(self, *, prune: bool = True) -> None:
        """Create the folders and tidy up. ``prune`` false keeps whatever no model uses (OLLAMA_NOPRUNE).

        Raises StoreError when the folders cannot be used.
        """
        self._prune = prune
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        self._folder.prepare()
        rename_old_blobs(self._folder)
        if self._prune:
            prune(self._folder, time.time())

    async def resolve(self, name: str) -> Model:
        """Return the model that ``name`` stands for. See ``Library.resolve``."""
        model = await self._find(name)
        if model is None:
            raise ModelNotFoundError(name)
        return model

    async def _find(self, name: str) -> Model | None:
        """Return the model, or None when there is none or a remote one where a local one is asked for."""
        wanted, reference = names.stored_name(name)
        model = await self._models.get(wanted)
        if model is not None and reference.source == "local" and model.stored.config.remote_model:
            return None
        return model

    def asks_for_cloud(self, name: str) -> bool:
        """Tell whether ``name`` explicitly means a model of Ollama's cloud. See ``Library.asks_for_cloud``."""
        return names.stored_name(name)[1].source == "cloud"

    async def list(self) -> Sequence[ModelListing]:
        """Return all models, most recently modified first; unreadable manifests are skipped."""
        files = await asyncio.to_thread(self._folder.readable)
        entries = [await self._listing(name, file) for name, file in files]
        return sorted((entry for entry in entries if entry), key=lambda entry: entry.modified_at, reverse=True)

    async def _listing(self, name: ModelName, file: ManifestFile) -> ModelListing | None:
        """Return a model's entry; one whose blobs are damaged is listed by its manifest, so that it can be deleted."""
        try:
            model = await self._models.get(name)
            return None if model is None else listing(model)
        except (StoreError, WeightsError):
            return await asyncio.to_thread(self._damaged_listing, name, file)

    def _damaged_listing(self, name: ModelName, file: ManifestFile) -> ModelListing | None:
        try:
            config = stored.read_config(file.manifest, self._folder.blobs)
        except (StoreError, BadRequestError):
            return None
        return ModelListing(
            name=name.short,
            digest=file.digest,
            size=file.manifest.size,
            modified_at=file.modified_at,
            details=details(config, stored.parent(file.manifest)),
        )

    async def describe(
        self, name: str, *, system: str = "", options: dict[str, Json] | None = None, verbose: bool = False
    ) -> ModelDescription:
        """Return what /api/show tells of a model. See ``Library.describe``."""
        model = await self._find(name)
        if model is None:
            raise ModelNotFoundError(_shown_name(name))
        return await asyncio.to_thread(describe, model, system=system, options=options or {}, arrays=verbose)

    def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        """Carry out a create. See ``Library.create``."""
        return Creation(self._folder, self._inspector, request, pull=self.pull, prune=self._prune).run()

    async def pull(self, name: str, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Fetch a model, from the package if it is bundled, else from its registry. See ``Library.pull``."""
        wanted, _ = names.stored_name(name)
        async with aclosing(self._pull(wanted, insecure)) as steps:
            async for step in steps:
                yield step

    def _pull(self, wanted: ModelName, insecure: bool) -> AsyncGenerator[Progress, None]:
        short = wanted.short.lower()
        bundled = self._bundled.get(short)
        if bundled is not None:
            return pull_bundled(short, bundled, self._folder.blobs, self.create)
        if is_on_hub(wanted):
            return self._hub_puller.run(wanted)
        return self._puller.run(wanted, _registry(wanted, insecure), prune=self._prune)

    def push(self, name: str, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Upload a model to the registry that its name says. See ``Library.push``."""
        target = names.parse(name)
        return push(self._folder, self._access, target, _registry(target, insecure))

    async def copy(self, source: str, destination: str) -> None:
        """Copy a manifest. Raises BadRequestError (texts of /api/copy) or ModelNotFoundError."""
        await asyncio.to_thread(self._copy, source, destination)

    def _copy(self, source: str, destination: str) -> None:
        origin, target = names.parse(source), names.parse(destination)
        for what, text, name in (("source", source, origin), ("destination", destination, target)):
            if not name.is_valid:
                raise BadRequestError(f"{what} {go_quote(text)} is invalid")
        origin, target = self._folder.located(origin), self._folder.located(target)
        path = self._folder.path(origin)
        try:
            with blobs.store_errors(f"manifest {path} cannot be read"):
                data = path.read_bytes()
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise ModelNotFoundError(source) from error
            raise
        if origin != target:
            self._folder.write(target, data, manifest.decode(data, str(path)))

    async def delete(self, name: str) -> None:
        """Remove a manifest and the blobs that nothing else uses. Raises as /api/delete."""
        await asyncio.to_thread(self._delete, name)

    def _delete(self, name: str) -> None:
        try:
            wanted, _ = names.stored_name(name)
        except InvalidNameError:
            raise BadRequestError(f"name {go_quote(name)} is invalid") from None
        located = self._folder.located(wanted)
        path = self._folder.path(located)
        with self._folder.locked(exclusive=True):
            if not self._folder.holds(located):
                raise ModelNotFoundError(name)
            digests = self._folder.digests_of(located)
            self._folder.remove(path)
            self._folder.remove_unused(digests)

    async def has_blob(self, digest: str) -> bool:
        """Tell whether a blob is stored. Raises BadRequestError for a malformed digest."""
        return await asyncio.to_thread(self._folder.blobs.path(digest).is_file)

    def open_upload(self, digest: str) -> AbstractAsyncContextManager[blobs.Upload]:
        """Begin an upload; what is not committed leaves nothing behind."""
        return blobs.upload(self._folder.blobs, digest)


def _registry(name: ModelName, insecure: bool) -> str:
    """Return the base URL of a model's registry; a scheme inside the name does not count."""
    return replace(name, scheme="http" if insecure else "https").base_url


def _shown_name(name: str) -> str:
    """Return the name that /api/show reports as missing: the short form with its tag."""
    wanted, reference = names.stored_name(name)
    return name if reference.source == "local" else wanted.short
