from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pollama.runners.client import HttpRunner
from pollama.runners.process import LocalLauncher
from pollama.runners.spare import RunnerSource
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan

SCRIPTED = (sys.executable, "-m", "tests.runners.scripted_child")
ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


def scripted() -> RunnerSource:
    return RunnerSource(environment(), SCRIPTED)


def make_spec(name: str, *, threads: int = 0, cores: tuple[int, ...] = ()) -> LoadSpec:
    plan = Plan(shares=(), sequences=2, context_length=512, cells=1024, shared_cells=True, batch=64, threads=threads)
    return LoadSpec(weights=Path("/models") / name, plan=plan, options=Options(), cores=cores)


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which socket folders are made; a test that leaves one behind fails."""
    folder = Path(tempfile.mkdtemp(prefix="test-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def launcher(sockets: Path) -> LocalLauncher:
    del sockets
    return LocalLauncher(environment(), scripted())


@pytest.fixture
async def runner(launcher: LocalLauncher) -> AsyncIterator[HttpRunner]:
    runner = await launcher.launch(make_spec("ready"))
    yield runner
    await runner.close()


@pytest.fixture
def make_launcher(sockets: Path) -> Callable[..., LocalLauncher]:
    del sockets
    return lambda **settings: LocalLauncher(environment(), **{"source": scripted(), **settings})
