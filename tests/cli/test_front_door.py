"""The command line against the real server, from the making of a model to its removal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pollama.types.version import OLLAMA_VERSION
from tests.e2e.server import Server, running_server

Run = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("front-door")) as running:
        yield running


@pytest.fixture
def pollama(server: Server, tmp_path: Path) -> Run:
    """Run a command that must succeed, with ``stdin`` piped in, and return its output."""

    def run(*arguments: str, stdin: str = "") -> str:
        result = subprocess.run(
            [sys.executable, "-m", "pollama", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "OLLAMA_HOST": server.url},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def names(table: str) -> list[str]:
    """Return the first column of a table."""
    return [line.split()[0] for line in table.splitlines()[1:]]


def test_the_life_of_a_model(pollama: Run, tmp_path: Path, native_model: Path) -> None:
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {native_model}\nPARAMETER num_predict 8\nSYSTEM Be brief.\n")
    assert pollama("create", "probe", "-f", str(modelfile)) == ""
    assert names(pollama("list")) == ["probe:latest"]
    assert pollama("show", "probe", "--system") == "Be brief."
    assert "num_predict    8" in pollama("show", "probe")

    assert pollama("run", "probe", "hello").endswith("\n\n")
    assert names(pollama("ps")) == ["probe:latest"]
    assert "CPU" in pollama("ps") or "GPU" in pollama("ps")
    assert pollama("run", "probe", "--format", "json", stdin="answer\n").strip()
    assert pollama("stop", "probe") == ""

    assert pollama("cp", "probe", "copy") == "copied 'probe' to 'copy'\n"
    assert pollama("rm", "probe", "copy") == "deleted 'probe'\ndeleted 'copy'\n"
    assert names(pollama("list")) == []


def test_a_vector(pollama: Run, tmp_path: Path, embedding_model: Path) -> None:
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {embedding_model}\n")
    pollama("create", "embed", "-f", str(modelfile))
    vector = pollama("run", "embed", "some text", "--dimensions", "4")
    assert len(vector.strip("[]\n").split(",")) == 4


def test_the_demo_model_is_pulled_when_it_is_run(pollama: Run) -> None:
    assert pollama("run", "demo", "Hello!").strip()
    assert "demo:latest" in names(pollama("list", "DEMO"))


def test_the_version(pollama: Run) -> None:
    assert pollama("--version") == f"ollama version is {OLLAMA_VERSION}\n"
