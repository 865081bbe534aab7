"""The sequence of a pull from the Hugging Face hub: choose the files, download them, make a model of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from pollama.models.folder import StoreFolder
from pollama.models.huggingface import shards
from pollama.models.huggingface.choice import Choice, RepositoryFile, choose
from pollama.models.huggingface.hub import Hub, Repository
from pollama.models.names import ModelName
from pollama.models.registry.client import RegistryAccess, RegistryClient
from pollama.models.registry.download import Source
from pollama.models.registry.fetch import Fetcher
from pollama.models.registry.pacing import RegistryError
from pollama.types.events import Progress
from pollama.types.json import Json
from pollama.types.library import CreateRequest

Create = Callable[[CreateRequest], AsyncGenerator[Progress, None]]

_TEMPLATE: Final = "template"
_SYSTEM: Final = "system"
_PARAMETERS: Final = "params"
_TEXTS: Final = (_TEMPLATE, _SYSTEM, _PARAMETERS)
"""Files at the root of a repository that say how Ollama shall prompt the model."""
_JOINED: Final = "model.gguf"
_MAX_TEXT_BYTES: Final = 1 << 20


class HubPuller:
    """Pulls models of the hub into one store."""

    def __init__(self, folder: StoreFolder, access: RegistryAccess, fetcher: Fetcher, hub: Hub, create: Create) -> None:
        self._folder = folder
        self._access = access
        self._fetcher = fetcher
        self._hub = hub
        self._create = create

    async def run(self, name: ModelName) -> AsyncGenerator[Progress, None]:
        """Pull the model that ``name`` means. Raises PollamaError."""
        yield Progress(status="pulling manifest")
        try:
            repository, choice = await asyncio.to_thread(self._choose, name)
        except RegistryError as error:
            raise RegistryError(f"pull model manifest: {error}") from error
        sources = await asyncio.to_thread(self._sources, name, repository, choice)
        to_join = choice.is_split and _JOINED not in sources
        joined_bytes = sum(file.size for file in choice.weights) if to_join else 0
        await asyncio.to_thread(self._fetcher.check_space, sources.values(), beside=joined_bytes)
        async with self._access.connect(repository.endpoint, repository.token) as client:
            request = await _request(client, repository, name, sources)
            for source in sources.values():
                async with aclosing(self._fetcher.fetch(client, source)) as steps:
                    async for step in steps:
                        yield step
        yield Progress(status="verifying sha256 digest")
        async with aclosing(self._create(request)) as steps:
            async for step in steps:
                if step.status != "success":
                    yield step
        if choice.is_split:
            await asyncio.to_thread(self._forget_shards, name, choice)
        yield Progress(status="success")

    def _sources(self, name: ModelName, repository: Repository, choice: Choice) -> dict[str, Source]:
        """Return what is to be fetched, by file name; weights that were joined before are taken as they are."""
        joined = shards.joined_weights(self._folder, name, choice.shards) if choice.is_split else None
        if joined is None:
            return {file.name: _source(repository, file) for file in choice.files}
        first = choice.weights[0]
        kept = Source(url=repository.url(first.path), digest=joined.digest, size=joined.size, exact=True)
        rest = [choice.projector] if choice.projector else []
        return {_JOINED: kept, **{file.name: _source(repository, file) for file in rest}}

    def _forget_shards(self, name: ModelName, choice: Choice) -> None:
        shards.remember(self._folder, name, choice.shards)
        self._folder.discard(set(choice.shards))

    def _choose(self, name: ModelName) -> tuple[Repository, Choice]:
        repository = self._hub.look_up(name.repository)
        choice = choose(repository.files, name.tag)
        for file in choice.files:
            if not file.digest:
                raise RegistryError(f"{file.path}: the hub does not state its SHA-256")
        repository.check_access(choice.weights[0].path)
        return repository, choice


def _source(repository: Repository, file: RepositoryFile) -> Source:
    return Source(url=repository.url(file.path), digest=file.digest, size=file.size, exact=True)


async def _request(
    client: RegistryClient, repository: Repository, name: ModelName, sources: dict[str, Source]
) -> CreateRequest:
    """Return what the model shall be made of."""
    paths = {file.path for file in repository.files}
    texts = {path: await _text(client, repository.url(path)) for path in _TEXTS if path in paths}
    return CreateRequest(
        model=str(name),
        files={file: source.digest for file, source in sources.items()},
        template=texts.get(_TEMPLATE, ""),
        system=texts.get(_SYSTEM, ""),
        parameters=_parameters(texts.get(_PARAMETERS, "{}")),
    )


def _parameters(text: str) -> dict[str, Json]:
    try:
        parameters: dict[str, Json] = msgspec.json.decode(text, type=dict[str, Json])
    except msgspec.DecodeError as error:
        raise RegistryError(f"file {_PARAMETERS} of the repository must hold a JSON object: {error}") from error
    return parameters


async def _text(client: RegistryClient, url: str) -> str:
    data = bytearray()
    async with client.request("GET", url) as response:
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > _MAX_TEXT_BYTES:
                raise RegistryError(f"{url} is larger than {_MAX_TEXT_BYTES} bytes")
    return data.decode("utf-8", "replace")
