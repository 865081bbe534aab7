"""A runner that dies ends every stream that it was producing with the error of the stream's dialect."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.e2e.conftest import CHATML, MODELS, create_from_file
from tests.e2e.server import Server, running_server

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "please spin"}]}
PROMPT = {"prompt": "please spin"}
ENDLESS = {"options": {"temperature": 0, "num_predict": -1}}
GREEDY = {"temperature": 0, "stream": True}
BODIES: dict[str, dict[str, Any]] = {
    "/api/generate": {**PROMPT, **ENDLESS},
    "/api/chat": {**CHAT, **ENDLESS},
    "/v1/chat/completions": {**CHAT, **GREEDY, "n": 2},
    "/v1/completions": {**PROMPT, **GREEDY},
    "/v1/responses": {"input": "please spin", **GREEDY},
    "/v1/messages": {**CHAT, **GREEDY, "max_tokens": 1_000_000},
}
DIED = "model runner has unexpectedly stopped"


async def _begun(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> aiohttp.ClientResponse:
    """Return a stream of which the beginning was read."""
    answer = await session.post(url, json={"model": "chat", **body})
    assert (answer.status, bool(await answer.content.readany())) == (200, True)
    return answer


async def _endings(server: Server) -> dict[str, str]:
    """Kill the runner under a stream of each dialect and return what each stream says last."""
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        streams = await asyncio.gather(*(_begun(session, path, body) for path, body in BODIES.items()))
        for child in psutil.Process(server.process.pid).children(recursive=True):
            if "pollama.runners.llamacpp" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
        rests = await asyncio.gather(*(stream.text() for stream in streams))
    return {path: rest.rstrip("\n").rpartition("\n")[2] for path, rest in zip(BODIES, rests, strict=True)}


async def test_every_dialect_says_that_its_stream_broke(tmp_path: Path) -> None:
    with running_server(tmp_path, OLLAMA_NUM_PARALLEL="8") as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        server.json("POST", "/api/create", {"model": "chat", "from": "probe", "template": CHATML, "stream": False})
        said = {path: json.loads(ending.removeprefix("data: ")) for path, ending in (await _endings(server)).items()}
        answer = server.json("POST", "/v1/completions", {"model": "chat", **PROMPT, "max_tokens": 2})
    for path in ("/api/generate", "/api/chat"):
        assert list(said[path]) == ["error"]
        assert DIED in said[path]["error"]
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert said[path]["error"]["type"] == "api_error"
        assert DIED in said[path]["error"]["message"]
    assert said["/v1/responses"]["type"] == "response.failed"
    assert said["/v1/responses"]["response"]["error"]["code"] == "server_error"
    assert DIED in said["/v1/responses"]["response"]["error"]["message"]
    assert said["/v1/messages"]["type"] == "error"
    assert DIED in said["/v1/messages"]["error"]["message"]
    assert answer["usage"]["completion_tokens"] == 2
