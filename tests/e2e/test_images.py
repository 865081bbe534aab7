"""An image is the same image in every dialect, through the real engine with a projector."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.conftest import CHATML, MODELS
from tests.e2e.server import Server, running_server
from tests.engine.projector import POSITIONS, png, write_projector

PROBE_WIDTH = 128
IMAGE = base64.b64encode(png(255, 0, 0)).decode()
URL = f"data:image/png;base64,{IMAGE}"


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the model ``eye``, which sees."""
    folder = tmp_path_factory.mktemp("seeing")
    with running_server(folder) as server:
        files = {}
        for path in (MODELS / "probe.gguf", write_projector(folder / "mmproj.gguf", PROBE_WIDTH)):
            data = path.read_bytes()
            files[path.name] = f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert server.request("POST", f"/api/blobs/{files[path.name]}", raw=data)[0] == 201
        server.json("POST", "/api/create", {"model": "eye", "files": files, "template": CHATML, "stream": False})
        yield server


def told(server: Server, images: list[str]) -> tuple[str, int]:
    """Return what the native dialect answers, and the length of the prompt."""
    message = {"role": "user", "content": "look", "images": images}
    options = {"temperature": 0, "num_predict": 8}
    got = server.json("POST", "/api/chat", {"model": "eye", "messages": [message], "options": options, "stream": False})
    return got["message"]["content"], got["prompt_eval_count"]


def test_an_image_takes_its_places_in_the_prompt(seeing: Server) -> None:
    assert "vision" in seeing.json("POST", "/api/show", {"model": "eye"})["capabilities"]
    text, one, two = (told(seeing, [IMAGE] * count)[1] for count in range(3))
    assert text < one == two - POSITIONS


def test_openai_and_anthropic_show_what_ollama_shows(seeing: Server) -> None:
    expected = told(seeing, [IMAGE])
    with openai.OpenAI(base_url=f"{seeing.url}/v1", api_key="any", max_retries=0) as client:
        content: Any = [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": URL, "detail": "low"},
        ]
        response = client.responses.create(
            model="eye", input=[{"role": "user", "content": content}], temperature=0, max_output_tokens=8
        )
        assert response.usage is not None
        assert (response.output_text, response.usage.input_tokens) == expected
        part: Any = {"type": "image_url", "image_url": {"url": URL}}
        chat = client.chat.completions.create(
            model="eye",
            messages=[{"role": "user", "content": [part, {"type": "text", "text": "look"}]}],
            temperature=0,
            max_tokens=8,
        )
        assert chat.usage is not None
        assert chat.usage.prompt_tokens > POSITIONS
    block: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    with anthropic.Anthropic(base_url=seeing.url, api_key="any", max_retries=0) as other:
        message = other.messages.create(
            model="eye",
            max_tokens=8,
            messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, block]}],
            extra_body={"temperature": 0},
        )
    assert (
        "".join(block.text for block in message.content if block.type == "text"),
        message.usage.input_tokens,
    ) == expected
