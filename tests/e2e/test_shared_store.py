"""Two servers on one store, and a store in exactly the form that Ollama writes."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Server, running_server

CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"684.10K","file_type":"F16",'
    b'"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
)
"""As today's Ollama writes it, with a field that early ones wrote too."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    folders = (tmp_path / "one", tmp_path / "other")
    for folder in folders:
        folder.mkdir()
    store = str(tmp_path / "store")
    with (
        running_server(folders[0], OLLAMA_MODELS=store) as one,
        running_server(folders[1], OLLAMA_MODELS=store) as other,
    ):
        yield one, other


def names(server: Server) -> list[str]:
    return sorted(model["name"] for model in server.json("GET", "/api/tags")["models"])


def answer(server: Server, model: str) -> Any:
    options = {"temperature": 0, "num_predict": 4}
    body = {"model": model, "prompt": "please count", "raw": True, "stream": False, "options": options}
    return server.json("POST", "/api/generate", body)["response"]


def test_each_server_sees_what_the_other_does(servers: tuple[Server, Server]) -> None:
    one, other = servers
    create_from_file(one, "probe", MODELS / "probe.gguf")
    assert names(other) == ["probe:latest"]
    assert answer(other, "probe") == answer(one, "probe")

    other.json("POST", "/api/create", {"model": "mine", "from": "probe", "system": "Be kind.", "stream": False})
    assert names(one) == ["mine:latest", "probe:latest"]
    assert one.json("POST", "/api/show", {"model": "mine"})["system"] == "Be kind."

    other.json("POST", "/api/create", {"model": "mine", "from": "probe", "system": "Be brief.", "stream": False})
    assert one.json("POST", "/api/show", {"model": "mine"})["system"] == "Be brief."

    assert one.request("DELETE", "/api/delete", {"model": "probe"})[0] == 200
    assert names(other) == ["mine:latest"]
    assert answer(one, "mine") == answer(other, "mine")

    assert other.request("DELETE", "/api/delete", {"model": "mine"})[0] == 200
    assert names(one) == []
    assert one.request("POST", "/api/generate", {"model": "mine"})[0] == 404


def put(root: Path, data: bytes, kind: str) -> dict[str, Any]:
    """Store a blob with Ollama's mode and return its entry in a manifest."""
    digest = hashlib.sha256(data).hexdigest()
    path = root / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o644)
    kinds = {"config": "application/vnd.docker.container.image.v1+json"}
    media_type = kinds.get(kind, f"application/vnd.ollama.image.{kind}")
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def ollama_store(root: Path) -> bytes:
    """Write a store with one pulled model, ``library/llama3:8b``, and return the bytes of its manifest."""
    layers = [
        put(root, (MODELS / "probe.gguf").read_bytes(), "model"),
        put(root, b"{{ .Prompt }}", "template"),
        put(root, b"MIT", "license"),
        put(root, b'{"stop":["\\u003c|end|\\u003e"],"temperature":0.5}', "params"),
    ]
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": put(root, CONFIG, "config"), "layers": layers}
    data = json.dumps(manifest, separators=(",", ":")).encode()
    path = root / "manifests/registry.ollama.ai/library/llama3/8b"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return data


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in files}


def test_a_store_of_ollama_is_served_and_left_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "models"
    manifest = ollama_store(root)
    before = snapshot(root)
    with running_server(tmp_path) as server:
        (model,) = server.json("GET", "/api/tags")["models"]
        assert model["name"] == "llama3:8b"
        assert model["digest"] == hashlib.sha256(manifest).hexdigest()
        shown = server.json("POST", "/api/show", {"model": "llama3:8b"})
        assert (shown["license"], shown["template"]) == ("MIT", "{{ .Prompt }}")
        assert answer(server, "llama3:8b")
        assert server.request("POST", "/api/copy", {"source": "llama3:8b", "destination": "copy"})[0] == 200
    copied = "manifests/registry.ollama.ai/library/copy/latest"
    assert snapshot(root) == {**before, copied: (0o644, manifest)}
