from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pollama.runners.llamacpp.engine import Engine
from pollama.types.plans import LoadSpec
from tests.engine.support import HandLoop

OpenEngine = Callable[[LoadSpec], Engine]
OpenLoop = Callable[[LoadSpec], HandLoop]
RandomModel = Callable[..., Path]


@pytest.fixture
async def open_engine() -> AsyncIterator[OpenEngine]:
    """Loads and starts engines; closes them when the test ends."""
    engines: list[Engine] = []

    def open_one(spec: LoadSpec) -> Engine:
        engine = Engine.load(spec, lambda share: None)
        engine.start(lambda: None)
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        engine.close()


@pytest.fixture
def open_loop() -> Iterator[OpenLoop]:
    """Loads engine loops that a test drives by hand."""
    loops: list[HandLoop] = []

    def open_one(spec: LoadSpec) -> HandLoop:
        loops.append(HandLoop(spec))
        return loops[-1]

    yield open_one
    for loop in loops:
        loop.close()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> RandomModel:
    """Writes a small model with random weights, of any architecture that the tool knows."""
    tool = _tool("random_model")
    folder = tmp_path_factory.mktemp("random-models")

    def write(arch: str, **shape: Any) -> Path:
        path = folder / f"{arch}-{'-'.join(f'{key}{value}' for key, value in sorted(shape.items()))}.gguf"
        if not path.exists():
            tool.write_random_model(path, tool.Spec(arch=arch, **shape))
        return path

    return write


def _tool(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
