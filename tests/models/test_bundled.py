"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path

from pollama.models.bundled import Bundled
from pollama.models.library import ModelLibrary
from pollama.prompts.inspector import PromptInspector
from tests.conftest import MODELS

WEIGHTS = MODELS / "probe-native.gguf"


async def _library(root: Path) -> ModelLibrary:
    bundled = {"demo:latest": Bundled(WEIGHTS, {"temperature": 0, "num_predict": 512})}
    library = ModelLibrary(root, PromptInspector(), bundled)
    await library.open()
    return library


async def test_a_pull_takes_it_from_the_package(tmp_path: Path) -> None:
    library = await _library(tmp_path)
    assert await library.list() == []
    statuses = [step.status async for step in library.pull("demo")]
    assert (statuses[0], statuses[-1]) == ("pulling manifest", "success")
    model = await library.resolve("demo")
    assert model.stored.parameters == {"temperature": 0, "num_predict": 512}
    assert model.stored.weights is not None
    assert model.stored.weights.read_bytes() == WEIGHTS.read_bytes()


async def test_a_second_pull_changes_nothing(tmp_path: Path) -> None:
    library = await _library(tmp_path)
    for _ in range(2):
        assert [step.status async for step in library.pull("DEMO:latest")][-1] == "success"
    assert [entry.name for entry in await library.list()] == ["demo:latest"]
