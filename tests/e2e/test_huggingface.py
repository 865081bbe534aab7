"""A server that pulls from the hub which the variables of huggingface-hub name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.conftest import MODELS
from tests.e2e.server import Server, running_server
from tests.models.hub_server import running_hub


def _pull_and_answer(server: Server, name: str) -> Any:
    server.json("POST", "/api/pull", {"model": name, "stream": False})
    options = {"temperature": 0, "num_predict": 3}
    body = {"model": name, "prompt": "please count", "raw": True, "stream": False, "options": options}
    return server.json("POST", "/api/generate", body)["response"]


async def test_a_private_model_of_the_hub_is_pulled_and_answers(tmp_path: Path) -> None:
    async with running_hub() as hub:
        hub.token = "hf_secret"
        hub.add(
            "me/Probe-GGUF", {"probe-Q4_0.gguf": b"another", "probe-F32.gguf": (MODELS / "probe.gguf").read_bytes()}
        )
        with running_server(tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN=hub.token) as server:
            response = await asyncio.to_thread(_pull_and_answer, server, "hf.co/me/Probe-GGUF:f32")
            assert hub.token not in server.log.read_text()
        with running_server(tmp_path, HF_ENDPOINT=hub.url) as server:
            status, body = await asyncio.to_thread(
                server.request, "POST", "/api/pull", {"model": "hf.co/me/Probe-GGUF:Q4_0", "stream": False}
            )
    assert response == " one two three"
    assert status == 500
    assert b"me/Probe-GGUF does not exist, or is private: then set HF_TOKEN" in body
