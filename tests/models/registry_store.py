"""Stores that pull from and push to the test registry."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from pollama.models.library import ModelLibrary
from pollama.models.registry.client import RegistryAccess
from pollama.models.registry.pacing import Pace
from pollama.types.events import Progress
from tests.models.fixtures import PlainInspector
from tests.models.registry_server import digest_of


class Store(NamedTuple):
    """A library whose retries do not wait, and what it would have waited for."""

    library: ModelLibrary
    root: Path
    slept: list[float]

    async def pull(self, name: str) -> list[Progress]:
        return [step async for step in self.library.pull(name, insecure=True)]

    async def push(self, name: str) -> list[Progress]:
        return [step async for step in self.library.push(name, insecure=True)]

    @property
    def files(self) -> set[str]:
        return {path.name for path in (self.root / "blobs").iterdir()}

    def blob(self, data: bytes, suffix: str = "") -> Path:
        return self.root / "blobs" / (digest_of(data).replace(":", "-") + suffix)


async def make_store(folder: Path, *, stall: float = 30.0) -> Store:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    access = RegistryAccess(key=folder / "id_ed25519", pace=Pace(stall=stall, sleep=sleep))
    library = ModelLibrary(folder / "models", PlainInspector(), access=access)
    await library.open()
    return Store(library, folder / "models", slept)


def statuses(steps: list[Progress]) -> list[str]:
    """Return the statuses, each once in a row."""
    found = [step.status for step in steps]
    return [status for index, status in enumerate(found) if index == 0 or found[index - 1] != status]


def short(data: bytes) -> str:
    return digest_of(data)[7:19]
