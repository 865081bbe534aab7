"""`kill -9` of the server at random moments of a pull, a create or a delete leaves a store that is whole.

POLLAMA_KILLS says how often (default 6); the seed is printed by a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from pollama.models import media
from tests.e2e.server import Server, running_server
from tests.front import Front, running_front
from tests.models.fixtures import LLAMA_TENSORS, write_gguf
from tests.models.registry_server import digest_of, running_registry

KILLS = int(os.environ.get("POLLAMA_KILLS", "6"))
SEED = int(os.environ.get("POLLAMA_SEED", "1"))
BYTES_PER_SECOND = 100e6
LONGEST = {"pull": 1.2, "create": 0.4, "quantize": 1.5, "delete": 0.03}
"""Seconds within which the kill comes: about as long as each takes."""


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """A GGUF of 48 MiB."""
    tensors = {**LLAMA_TENSORS, "blk.0.ffn_up.weight": (3072, 4096)}
    return write_gguf(tmp_path / "large.gguf", tensors=tensors).read_bytes()


@pytest.fixture
async def front(weights: bytes) -> AsyncIterator[Front]:
    """A registry with the model me/m behind a line that makes its pull last most of a second."""
    async with running_registry() as registry, running_front(registry.host) as front:
        registry.add("me/m", (media.MODEL, weights))
        front.rate = BYTES_PER_SECOND
        yield front


def assert_whole(root: Path) -> None:
    """Every blob is what its name says, and every manifest has all its blobs."""
    blobs = {path.name: path for path in (root / "blobs").iterdir() if re.fullmatch("sha256-[0-9a-f]{64}", path.name)}
    for name, path in blobs.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name.removeprefix("sha256-")
    for path in root.glob("manifests/*/*/*/*"):
        manifest = json.loads(path.read_bytes())
        for layer in (*manifest["layers"], manifest["config"]):
            assert blobs[layer["digest"].replace(":", "-")].stat().st_size == layer["size"]


def assert_listed_models_are_whole(server: Server) -> None:
    for model in server.json("GET", "/api/tags")["models"]:
        assert server.json("POST", "/api/show", {"model": model["name"]})["model_info"]


def saved_bytes(root: Path, data: bytes) -> int:
    """Return how much of a blob the state of its unfinished download says is there."""
    state = root / "blobs" / f"{digest_of(data).replace(':', '-')}-partial-0"
    return int(json.loads(state.read_bytes())["Completed"]) if state.exists() else 0


def act(server: Server, operation: str, name: str, number: int) -> None:
    """Do one thing that the kill will interrupt."""
    requests: dict[str, Callable[[], object]] = {
        "pull": lambda: server.request("POST", "/api/pull", {"model": name, "insecure": True}),
        "create": lambda: server.request(
            "POST", "/api/create", {"model": f"made{number}", "from": "base", "system": f"{number}"}
        ),
        "quantize": lambda: server.request(
            "POST", "/api/create", {"model": f"made{number}", "from": "base", "quantize": "q8_0"}
        ),
        "delete": lambda: server.request("DELETE", "/api/delete", {"model": name}),
    }
    with contextlib.suppress(OSError, http.client.HTTPException):
        requests[operation]()


async def killed(server: Server, operation: str, name: str, number: int, delay: float) -> None:
    """Kill the server ``delay`` seconds after the operation began; nothing that it started may live on."""
    acting = asyncio.create_task(asyncio.to_thread(act, server, operation, name, number))
    await asyncio.sleep(delay)  # the moment is what is varied
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    await acting
    await asyncio.to_thread(server.process.wait, 30)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
    assert alive == []


@pytest.mark.timeout(60 + 20 * KILLS)
async def test_a_store_is_whole_after_every_kill(front: Front, weights: bytes, tmp_path: Path) -> None:
    name = f"{front.host}/me/m"
    chance = random.Random(SEED)
    root = tmp_path / "models"
    upload(root, weights)
    for number in range(KILLS):
        operation = ("pull", "quantize", "delete", "create")[number % 4]
        print(f"{number}: {operation}, seed {SEED}")
        with running_server(tmp_path) as server:
            await asyncio.to_thread(assert_listed_models_are_whole, server)
            await prepare(server, front, operation, weights)
            await killed(server, operation, name, number, chance.uniform(0, LONGEST[operation]))
        assert_whole(root)
    with running_server(tmp_path) as server:
        await asyncio.to_thread(assert_listed_models_are_whole, server)
        await assert_pull_goes_on(server, front, weights)
    assert_whole(root)


def upload(root: Path, weights: bytes) -> None:
    """Put the weights of the model ``base`` beside those that are pulled."""
    (root / "blobs").mkdir(parents=True)
    base = bytes(weights[:-4]) + b"base"
    (root / "blobs" / digest_of(base).replace(":", "-")).write_bytes(base)


async def prepare(server: Server, front: Front, operation: str, weights: bytes) -> None:
    """Make sure that there is something to pull, to make a model of or to delete."""
    name, base = f"{front.host}/me/m", digest_of(bytes(weights[:-4]) + b"base")
    if operation == "pull":
        await asyncio.to_thread(server.request, "DELETE", "/api/delete", {"model": name})
    elif operation == "delete":
        await assert_pull_goes_on(server, front, weights)
    else:
        body = {"model": "base", "files": {"w.gguf": base}, "stream": False}
        await asyncio.to_thread(server.json, "POST", "/api/create", body)


async def assert_pull_goes_on(server: Server, front: Front, weights: bytes) -> None:
    """A pull begins where the last one was, and brings the model."""
    saved = saved_bytes(server.models, weights)
    front.ranges.clear()
    body = {"model": f"{front.host}/me/m", "insecure": True, "stream": False}
    await asyncio.to_thread(server.json, "POST", "/api/pull", body)
    if saved:
        assert front.ranges[0].startswith(f"bytes={saved}-")
