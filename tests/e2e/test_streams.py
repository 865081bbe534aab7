"""Many streams at once: each says what it says alone, and none waits for another's long prompt."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import ollama
import pytest

from tests.e2e.server import Server

COUNT = " one two three four five six seven eight nine ten"
STREAMS = 16
PROMPTS = ("please count", "please json", "please emoji", "please ponder", "tell me a story about the river")
LONG = "the river and the mountain " * 400 + "please count"
OPTIONS = {"temperature": 0, "num_predict": 40, "num_ctx": 2048}


async def _text(client: ollama.AsyncClient, prompt: str) -> str:
    stream = await client.generate("probe", prompt, raw=True, options=OPTIONS, stream=True)
    return "".join([record.response or "" async for record in stream])


async def test_concurrent_streams_equal_their_solo_runs(async_client: ollama.AsyncClient) -> None:
    prompts = [LONG, *(PROMPTS[index % len(PROMPTS)] for index in range(STREAMS - 1))]
    alone = {prompt: await _text(async_client, prompt) for prompt in dict.fromkeys(prompts)}
    together = await asyncio.gather(*(_text(async_client, prompt) for prompt in prompts))
    assert together == [alone[prompt] for prompt in prompts]


async def test_a_seed_repeats_a_sampled_text(async_client: ollama.AsyncClient) -> None:
    async def sampled(seed: int) -> str:
        options = {"temperature": 1.5, "seed": seed, "num_predict": 20, "num_ctx": 2048, "top_k": 0, "top_p": 1.0}
        return (await async_client.generate("probe", "the river", raw=True, options=options)).response or ""

    await sampled(0)  # from here on the prompt is cached, so that every run computes the same batches
    first = [await sampled(seed) for seed in range(4)]
    assert [await sampled(seed) for seed in range(4)] == first
    assert len(set(first)) > 1


async def test_a_stream_that_is_dropped_frees_its_sequence(async_client: ollama.AsyncClient) -> None:
    """More dropped endless streams than sequences: the request after them would wait for ever if one leaked."""
    for _ in range(STREAMS + 4):
        stream = await async_client.generate(
            "probe", "please spin", raw=True, options={**OPTIONS, "num_predict": -1}, stream=True
        )
        await anext(aiter(stream))
        await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(60):
        assert (await _text(async_client, "please count")).startswith(" one two")


@pytest.mark.parametrize("model", ["probe", "probe-native"])
async def test_different_models_run_side_by_side(async_client: ollama.AsyncClient, model: str) -> None:
    answer, embedding = await asyncio.gather(
        async_client.generate(model, "please count", raw=True, options=OPTIONS),
        async_client.embed("probe-embed", "the river"),
    )
    assert answer.response == " one two three four five six seven eight nine ten"
    assert len(embedding.embeddings) == 1


async def test_sixty_four_streams_are_whole_however_slowly_they_are_read(server: Server) -> None:
    """Half of the readers begin when the others are done."""
    url = f"{server.url}/v1/chat/completions"
    body = {"model": "probe-chat", "temperature": 0, "max_tokens": 40, "stream": True}
    body["messages"] = [{"role": "user", "content": "please count"}]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        answers = await asyncio.gather(*(session.post(url, json=body) for _ in range(64)))
        early = await asyncio.gather(*(answer.read() for answer in answers[:32]))
        late = await asyncio.gather(*(answer.read() for answer in answers[32:]))
    for raw in (*early, *late):
        lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n")]
        assert lines[-2:] == [b"[DONE]", b""]
        deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-2]]
        assert "".join(delta.get("content", "") for delta in deltas) == COUNT
