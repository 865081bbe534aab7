"""What the tests of the model store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.models.library import ModelLibrary
from tests.models.fixtures import PlainInspector, write_gguf


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
