"""What the tests of the model store share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pollama.models.library import ModelLibrary
from tests.models.fixtures import PlainInspector, write_gguf
from tests.models.registry_server import Registry, running_registry
from tests.models.registry_store import Store, make_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the store."""
    return tmp_path / "models"


@pytest.fixture
def inspector() -> PlainInspector:
    return PlainInspector()


@pytest.fixture
async def library(root: Path, inspector: PlainInspector) -> ModelLibrary:
    """An open, empty store."""
    library = ModelLibrary(root, inspector)
    await library.open()
    return library


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small GGUF of two blocks."""
    return write_gguf(tmp_path / "base.gguf")


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """A registry on the loopback interface."""
    async with running_registry() as running:
        yield running


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    """An empty store that speaks to registries."""
    return await make_store(tmp_path / "home")
