"""What the tests of the command line share."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pollama.cli import main
from tests.cli.scripted import Script, ScriptedServer


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def _interrupts_reach_children() -> None:
    """Take SIGINT back: it is ignored, by children too, where the tests were started in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def script() -> Script:
    """The answers of the server that ``cli`` talks to."""
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def cli(server: ScriptedServer, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command against the scripted server, with ``stdin`` as its piped input."""
    monkeypatch.setenv("OLLAMA_HOST", server.address)

    def run(*arguments: str, stdin: str = "", name: str = "pollama") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main.run(arguments, name)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run
