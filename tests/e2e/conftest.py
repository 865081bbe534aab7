"""One real server with the probe models, shared by the tests of this folder."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import ollama
import pytest

from tests.e2e.server import Endpoint, Server, running_server

MODELS = Path(__file__).parent.parent / "data" / "models"
CHATML = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n"
    "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    "{{ if .ToolCalls }}{{ range .ToolCalls }}<tool_call>"
    '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</tool_call>{{ end }}{{ end }}'
    "{{ end }}{{ if .Tools }}{{ end }}"
)


def create_from_file(server: Endpoint, name: str, path: Path) -> None:
    """Upload a GGUF and make a model of it."""
    data = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    status, body = server.request("POST", f"/api/blobs/{digest}", raw=data)
    assert status in {200, 201}, body
    server.json("POST", "/api/create", {"model": name, "files": {path.name: digest}, "stream": False})


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose store holds probe, probe-chat (with a template), probe-native and probe-embed."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        for name in ("probe", "probe-native", "probe-embed"):
            create_from_file(running, name, MODELS / f"{name}.gguf")
        running.json(
            "POST", "/api/create", {"model": "probe-chat", "from": "probe", "template": CHATML, "stream": False}
        )
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[ollama.Client]:
    """The official client."""
    with ollama.Client(server.url) as opened:
        yield opened


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[ollama.AsyncClient]:
    """The official asynchronous client."""
    async with ollama.AsyncClient(server.url) as opened:
        yield opened
