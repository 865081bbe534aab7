"""Bad input: a clear error that names what is wrong, and a server that lives on."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Server, free_port, running_server


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: its store is damaged on purpose."""
    with running_server(tmp_path_factory.mktemp("fragile")) as running:
        yield running


def _upload(server: Server, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    status, body = server.request("POST", f"/api/blobs/{digest}", raw=data)
    assert status in {200, 201}, body
    return digest


def _create(server: Server, data: bytes) -> str:
    files = {"bad.gguf": _upload(server, data)}
    _, body = server.request("POST", "/api/create", {"model": "bad", "files": files, "stream": False})
    return str(json.loads(body).get("error", ""))


def _still_alive(server: Server) -> None:
    assert server.request("GET", "/") == (200, b"Ollama is running")


PROBE = MODELS / "probe.gguf"


@pytest.mark.parametrize("length", [4, 23, 200, 5000, 100_000])
def test_truncated_gguf_is_refused(fragile: Server, length: int) -> None:
    assert _create(fragile, PROBE.read_bytes()[:length])
    _still_alive(fragile)


def test_wrong_magic_is_refused(fragile: Server) -> None:
    assert _create(fragile, b"GGUX" + PROBE.read_bytes()[4:])
    _still_alive(fragile)


def test_absurd_counts_are_refused(fragile: Server) -> None:
    header = struct.pack("<4sIQQ", b"GGUF", 3, 2**60, 2**60)
    assert _create(fragile, header + PROBE.read_bytes()[24:])
    _still_alive(fragile)


def test_unknown_architecture_is_an_error_of_the_request(fragile: Server) -> None:
    data = PROBE.read_bytes().replace(b"llama", b"lxama")
    if not _create(fragile, data):
        status, body = fragile.request("POST", "/api/generate", {"model": "bad", "prompt": "x", "stream": False})
        assert status == 500
        assert b"lxama" in body
    _still_alive(fragile)


def test_corrupt_manifest_is_not_fatal(fragile: Server) -> None:
    create_from_file(fragile, "good", PROBE)
    manifest = fragile.models / "manifests/registry.ollama.ai/library/good/latest"
    intact = manifest.read_bytes()
    manifest.write_bytes(b"{not json")
    status, body = fragile.request("POST", "/api/generate", {"model": "good", "prompt": "x"})
    assert status >= 400
    assert b"error" in body
    assert "good:latest" not in [model["name"] for model in fragile.json("GET", "/api/tags")["models"]]
    manifest.write_bytes(intact)
    assert fragile.json("POST", "/api/generate", {"model": "good", "prompt": "please count", "stream": False})["done"]


def test_missing_blob_is_not_fatal(fragile: Server) -> None:
    create_from_file(fragile, "holey", MODELS / "probe-native.gguf")
    manifest = json.loads((fragile.models / "manifests/registry.ollama.ai/library/holey/latest").read_text())
    weights = next(layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith("image.model"))
    (fragile.models / "blobs" / weights.replace(":", "-")).unlink()
    status, body = fragile.request(
        "POST", "/api/chat", {"model": "holey", "messages": [{"role": "user", "content": "x"}]}
    )
    assert status >= 400
    assert b"error" in body
    _still_alive(fragile)


def test_broken_template_is_refused_at_create(fragile: Server) -> None:
    create_from_file(fragile, "plain", PROBE)
    body = {"model": "broken", "from": "plain", "template": "{{ if }}", "stream": False}
    status, answer = fragile.request("POST", "/api/create", body)
    assert status == 400
    assert b"template error: template: :1: missing value for if" in answer


def test_broken_jinja_template_is_an_error_of_the_request(fragile: Server) -> None:
    data = (MODELS / "probe-native.gguf").read_bytes()
    assert data.count(b"{%- for message in messages %}") == 1
    assert _create(fragile, data.replace(b"{%- for message in messages %}", b"{%- far message in messages %}")) == ""
    body = {"model": "bad", "messages": [{"role": "user", "content": "x"}], "stream": False}
    status, answer = fragile.request("POST", "/api/chat", body)
    assert status == 500
    assert b"far" in answer
    _still_alive(fragile)


def test_model_larger_than_memory_is_refused_with_the_numbers(fragile: Server) -> None:
    """A sparse file claims as much as four times the memory of the machine; nothing of it is ever read."""
    create_from_file(fragile, "huge", PROBE)
    manifest = fragile.models / "manifests/registry.ollama.ai/library/huge/latest"
    content = json.loads(manifest.read_text())
    layer = next(layer for layer in content["layers"] if layer["mediaType"].endswith("image.model"))
    layer["digest"] = "sha256:" + "ab" * 32
    manifest.write_text(json.dumps(content))
    _write_sparse_gguf(fragile.models / "blobs" / layer["digest"].replace(":", "-"), 4 * psutil.virtual_memory().total)
    status, answer = fragile.request("POST", "/api/generate", {"model": "huge", "prompt": "x", "stream": False})
    assert status == 500
    assert re.search(rb"[0-9.]+ GiB", answer), answer
    _still_alive(fragile)


def _write_sparse_gguf(path: Path, tensor_bytes: int) -> None:
    """Write the header of a one-layer llama model whose feed-forward matrix has ``tensor_bytes``, and a hole."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(2048)
    writer.add_embedding_length(1024)
    writer.add_feed_forward_length(4096)
    writer.add_head_count(8)
    shape = [tensor_bytes // 4096, 1024]
    writer.add_tensor_info("blk.0.ffn_up.weight", shape, np.dtype(np.float32), tensor_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + tensor_bytes + 4096)


@pytest.mark.parametrize(
    "options",
    [
        {"num_gpu": 99},
        {"num_batch": 1},
        {"num_batch": 10**9},
        {"num_thread": -1},
        {"num_thread": 100_000},
        {"num_ctx": -1, "num_keep": 10**9, "top_k": 10**12, "repeat_last_n": -2, "seed": 2**40},
    ],
)
def test_options_beyond_reason_are_brought_within_it(fragile: Server, options: dict[str, int]) -> None:
    create_from_file(fragile, "able", PROBE)
    body = {"model": "able", "prompt": "please count", "raw": True, "stream": False}
    answer = fragile.json("POST", "/api/generate", {**body, "options": {"temperature": 0, "num_predict": 3, **options}})
    assert answer["response"] == " one two three"


def test_port_in_use_is_a_clear_error(fragile: Server, tmp_path: Path) -> None:
    address = fragile.url.removeprefix("http://")
    second = subprocess.run(
        [sys.executable, "-m", "pollama", "serve"],
        env={"OLLAMA_HOST": address, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"Error: listen tcp {address}: bind: address already in use".encode() in second.stderr


def test_unusable_model_folder_is_a_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = subprocess.run(
        [sys.executable, "-m", "pollama", "serve"],
        env={
            "OLLAMA_HOST": f"127.0.0.1:{free_port()}",
            "OLLAMA_MODELS": str(blocked / "models"),
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert str(blocked).encode() in done.stderr
