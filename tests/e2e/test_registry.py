"""Models between servers: pushed to a registry by one, pulled from it by another."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from pathlib import Path
from typing import Any

from pollama.models import media
from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Server, running_server
from tests.models.registry_server import digest_of, running_registry

PROMPT = {"prompt": "please count", "raw": True, "stream": False, "options": {"temperature": 0, "num_predict": 8}}


def _transfer(server: Server, operation: str, name: str) -> list[str]:
    """Push or pull and return the records."""
    status, body = server.request("POST", f"/api/{operation}", {"model": name, "insecure": True})
    assert status == 200
    return body.decode().splitlines()


def _push_and_pull(folder: Path, name: str) -> tuple[Any, Any]:
    """Make a model on one server and return its answer there and on a server that pulled it."""
    with running_server(folder / "a") as first, running_server(folder / "b") as second:
        create_from_file(first, name, MODELS / "probe.gguf")
        assert _transfer(first, "push", name)[-1] == '{"status":"success"}'
        assert _transfer(second, "pull", name)[-1] == '{"status":"success"}'
        answers = [server.json("POST", "/api/generate", {"model": name, **PROMPT}) for server in (first, second)]
        missing = _transfer(second, "pull", f"{name}-other")
        assert missing[-1] == '{"error":"pull model manifest: file does not exist"}'
    return answers[0]["response"], answers[1]["response"]


async def test_a_model_goes_from_one_server_to_another(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    async with running_registry() as registry:
        registry.token, registry.cdn = "secret", True
        ours, theirs = await asyncio.to_thread(_push_and_pull, tmp_path, registry.name())
    assert ours == theirs
    assert ours


def _pull_until_killed(server: Server, name: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        _transfer(server, "pull", name)


async def test_a_pull_that_was_killed_is_finished_by_the_next_server(tmp_path: Path) -> None:
    weights = (MODELS / "probe.gguf").read_bytes()
    async with running_registry() as registry:
        registry.add("me/m", (media.MODEL, weights))
        registry.gate = asyncio.Event()
        with running_server(tmp_path) as server:
            pull = asyncio.create_task(asyncio.to_thread(_pull_until_killed, server, registry.name()))
            await registry.waiting.wait()
            server.process.kill()
            await pull
            server.process.wait(timeout=30)
        registry.gate.set()
        assert [path.name for path in (tmp_path / "models" / "blobs").glob("*-partial")]
        with running_server(tmp_path) as server:
            assert server.json("GET", "/api/tags") == {"models": []}
            records = await asyncio.to_thread(_transfer, server, "pull", registry.name())
            assert records[-1] == '{"status":"success"}'
    blobs = {path.name: path.read_bytes() for path in (tmp_path / "models" / "blobs").iterdir()}
    assert all(digest_of(data).replace(":", "-") == name for name, data in blobs.items())
    assert weights in blobs.values()
