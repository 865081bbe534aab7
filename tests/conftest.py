"""What all tests share: the small models, and a guard against processes that outlive their test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

MODELS = Path(__file__).parent / "data" / "models"


@pytest.fixture(scope="session")
def probe_model() -> Path:
    """A small chat model in GGUF; its template is given by whoever creates a model from it."""
    return MODELS / "probe.gguf"


@pytest.fixture(scope="session")
def native_model() -> Path:
    """The same model with a chat template of its own."""
    return MODELS / "probe-native.gguf"


@pytest.fixture(scope="session")
def embedding_model() -> Path:
    """A small embedding model."""
    return MODELS / "probe-embed.gguf"


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    """Fail a test that leaves a child process behind which was not there before it."""
    before = set(psutil.Process().children())
    yield
    left = [child for child in psutil.Process().children() if child not in before and child.is_running()]
    for child in left:
        child.kill()
    assert not left, f"processes left behind: {left}"
