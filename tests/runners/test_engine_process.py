"""The real engine in a real runner process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from pollama.errors import LoadError
from pollama.runners.client import HttpRunner
from pollama.runners.process import LocalLauncher
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob, Sampling
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan
from tests.runners.conftest import environment


def _spec(weights: Path) -> LoadSpec:
    plan = Plan(
        shares=(), sequences=2, context_length=512, cells=1024, shared_cells=True, batch=128, gpu_layers=0, threads=1
    )
    return LoadSpec(weights=weights, plan=plan, options=Options())


@pytest.fixture
async def engine(sockets: Path, probe_model: Path) -> AsyncIterator[HttpRunner]:
    del sockets
    runner = await LocalLauncher(environment()).launch(_spec(probe_model))
    yield runner
    await runner.close()


async def _text(runner: HttpRunner, prompt: str, max_tokens: int) -> tuple[str, Finished]:
    items = [
        item
        async for item in runner.generate(
            GenerateJob(prompt=prompt, sampling=Sampling(temperature=0), max_tokens=max_tokens)
        )
    ]
    assert isinstance(items[-1], Finished)
    return "".join(item.text for item in items if isinstance(item, Delta)), items[-1]


async def test_tokens_and_text(engine: HttpRunner) -> None:
    tokens = await engine.tokenize("Hello there")
    assert await engine.detokenize(tokens) == " Hello there"  # the tokenizer puts a blank in front of a text
    assert await engine.count_tokens(["Hello there", ""]) == [len(tokens), 0]


async def test_two_clients_get_what_each_gets_alone(engine: HttpRunner) -> None:
    alone = [await _text(engine, prompt, max_tokens=24) for prompt in ("Once upon", "The capital")]
    together = await asyncio.gather(*(_text(engine, prompt, max_tokens=24) for prompt in ("Once upon", "The capital")))
    assert [text for text, _ in together] == [text for text, _ in alone]
    assert all(finished.generated_tokens <= 24 for _, finished in together)


async def test_dropped_generations_free_their_sequences(engine: HttpRunner) -> None:
    for _ in range(200):
        async with aclosing(engine.generate(GenerateJob(prompt="Hello"))) as stream:
            await anext(stream)
    while (status := await engine.status()).running or status.waiting:
        await asyncio.sleep(0.01)
    _, finished = await _text(engine, "Hello", max_tokens=4)
    assert finished.generated_tokens <= 4


async def test_embeddings(sockets: Path, embedding_model: Path) -> None:
    del sockets
    runner = await LocalLauncher(environment()).launch(_spec(embedding_model))
    tokens = await runner.tokenize("hello", add_special=True)
    (vector,) = await runner.embed(EmbedJob(inputs=[tokens]))
    await runner.close()
    assert len(vector) == runner.info.embedding_length


async def test_a_file_that_is_no_model(tmp_path: Path, sockets: Path) -> None:
    del sockets
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF but nothing else")
    with pytest.raises(LoadError, match="llama-server process has terminated: exit status 1: error: "):
        await LocalLauncher(environment()).launch(_spec(weights))
