"""`pollama run` of a model that is not there yet: pulled, then served, or refused with the numbers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pollama.models import media
from tests.e2e.server import Server, running_server
from tests.models.registry_server import Registry, running_registry
from tools.random_model import Spec, write_random_model

MODEL = "library/llama3:70b"
SHAPE = Spec(layers=80, width=256, heads=8, kv_heads=8, ffn=64, context=8192, quant="q8_0")
"""As deep as a model of 70B parameters, but of 26 MB. 4096 tokens of context take 320 MiB of KV cache."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "llama3-70b.gguf"
    write_random_model(path, SHAPE)
    return path.read_bytes()


@pytest.fixture
async def registry(weights: bytes) -> AsyncIterator[Registry]:
    async with running_registry() as running:
        layers = ((media.MODEL, weights), (media.TEMPLATE, b"{{ .Prompt }}"), (media.PARAMETERS, b'{"num_predict":4}'))
        manifest = running.add("library/llama3", *layers)
        running.manifests["library/llama3/70b"] = manifest
        yield running


def run(server: Server, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the model once, from the command line."""
    return subprocess.run(
        [sys.executable, "-m", "pollama", "run", "--insecure", name, "hello"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=120,
        env={"HOME": str(folder), "PATH": os.environ["PATH"], "OLLAMA_HOST": server.url},
    )


async def test_a_model_is_pulled_and_served(registry: Registry, tmp_path: Path) -> None:
    with running_server(tmp_path, OLLAMA_CONTEXT_LENGTH="512") as server:
        result = await asyncio.to_thread(run, server, registry.name(MODEL), tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip()
        loaded = await asyncio.to_thread(server.json, "GET", "/api/ps")
    assert [model["name"] for model in loaded["models"]] == [registry.name(MODEL)]


async def test_a_model_that_does_not_fit_is_refused_with_the_numbers(registry: Registry, tmp_path: Path) -> None:
    config = tmp_path / ".pollama" / "config.yaml"
    config.parent.mkdir()
    core = min(os.sched_getaffinity(0))
    config.write_text(f'devices: {{cpu: [{{cores: "{core}", memory: "200MiB"}}]}}\n')
    with running_server(tmp_path, OLLAMA_CONTEXT_LENGTH="8192") as server:
        result = await asyncio.to_thread(run, server, registry.name(MODEL), tmp_path)
        stored = await asyncio.to_thread(server.json, "GET", "/api/tags")
    assert result.returncode == 1
    assert [model["name"] for model in stored["models"]] == [registry.name(MODEL)]
    found = re.search(
        r"requires more memory \((.+) GiB with a context of \d+ tokens\) than is available \(.*: (.+) of (.+) GiB\)",
        result.stderr,
    )
    assert found is not None, result.stderr
    needed, free, limit = map(float, found.groups())
    assert needed > free
    assert limit == 0.2
