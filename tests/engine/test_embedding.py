"""Embeddings equal a computation of their own, whatever is embedded beside them."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pollama.errors import GenerationError
from pollama.runners.llamacpp import engine as engine_module
from pollama.runners.llamacpp.embed import Embedder
from pollama.runners.llamacpp.load import make_embedder
from pollama.types.generation import EmbedJob
from tests.engine.conftest import OpenEngine, RandomModel
from tests.engine.reference import llama
from tests.engine.support import Delivered, answer, answers, greedy, spec_of

INPUTS = [[2, 10, 11, 12, 3], [2, 40, 3], [2, *range(50, 100), 3]]


def reference(model: Path, tokens: list[int], pooling: int = -1) -> NDArray[np.float32]:
    """Embed one input in a context of its own."""
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    handle = llama.llama_model_load_from_file(str(model).encode(), parameters)
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 256
    settings.n_outputs_max_per_seq = 256
    settings.embeddings, settings.pooling_type, settings.n_threads = True, pooling, 1
    context = llama.llama_init_from_model(handle, settings)
    array = (ctypes.c_int32 * len(tokens))(*tokens)
    assert llama.llama_decode(context, llama.llama_batch_get_one(array, len(tokens))) == 0
    width = llama.llama_model_n_embd(handle)
    if llama.llama_pooling_type(context) == llama.LLAMA_POOLING_TYPE_NONE:
        pointer = llama.llama_get_embeddings_ith(context, -1)
    else:
        pointer = llama.llama_get_embeddings_seq(context, 0)
    vector = np.ctypeslib.as_array(pointer, (width,)).copy()
    llama.llama_free(context)
    llama.llama_model_free(handle)
    return vector


async def test_vectors_of_an_embedding_model(embedding_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(embedding_model, context=64, sequences=1, pooling=True))
    vectors = await engine.embed(EmbedJob(inputs=INPUTS))
    for tokens, vector in zip(INPUTS, vectors, strict=True):
        np.testing.assert_allclose(vector, reference(embedding_model, tokens), atol=1e-4)
    assert not engine.info.generates


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "none"])
async def test_every_pooling(pooling: str, random_model: RandomModel, open_engine: OpenEngine) -> None:
    model = random_model("bert", pooling=pooling)
    engine = open_engine(spec_of(model, context=256, batch=256, sequences=1, pooling=True))
    vectors = await engine.embed(EmbedJob(inputs=INPUTS))
    for tokens, vector in zip(INPUTS, vectors, strict=True):
        np.testing.assert_allclose(vector, reference(model, tokens), atol=1e-4)


async def test_a_generating_model_embeds_with_the_mean_while_it_generates(
    probe_model: Path, open_engine: OpenEngine
) -> None:
    engine = open_engine(spec_of(probe_model))
    before = await answer(engine, greedy("please count"))
    vectors = await engine.embed(EmbedJob(inputs=INPUTS))
    for tokens, vector in zip(INPUTS, vectors, strict=True):
        expected = reference(probe_model, tokens, llama.LLAMA_POOLING_TYPE_MEAN)
        np.testing.assert_allclose(vector, expected, atol=2e-2)
    assert (await answer(engine, greedy("please count"))).tokens == before.tokens


async def test_texts_are_generated_while_a_model_gets_ready_to_embed(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))
    delivered = Delivered()
    allocations, went_on = [], threading.Event()

    def make(*arguments: Any) -> Embedder:
        allocations.append(arguments)
        assert went_on.wait(30)
        return make_embedder(*arguments)

    monkeypatch.setattr(engine_module, "make_embedder", make)
    ticket = engine.submit(greedy("please spin", -1), delivered.take)
    await delivered.get()
    embeddings = [asyncio.create_task(engine.embed(EmbedJob(inputs=INPUTS))) for _ in range(2)]
    while not allocations:
        await delivered.get()
    begun = engine.status().steps
    while engine.status().steps < begun + 5:
        await delivered.get()
    went_on.set()
    first, second = await asyncio.gather(*embeddings)
    engine.cancel(ticket)
    assert first == second
    assert len(allocations) == 1


async def test_texts_are_generated_between_the_passes_of_embeddings(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model, batch=64))
    real, passes = Embedder.vectors, []

    def vectors(embedder: Embedder, group: Sequence[Sequence[int]]) -> list[list[float]]:
        passes.append((engine.status().steps, sum(map(len, group))))
        return real(embedder, group)

    monkeypatch.setattr(Embedder, "vectors", vectors)
    delivered = Delivered()
    ticket = engine.submit(greedy("please spin", -1), delivered.take)
    await delivered.get()
    inputs = [list(range(10, 40)) for _ in range(4)]
    await asyncio.gather(*(engine.embed(EmbedJob(inputs=inputs)) for _ in range(4)))
    engine.cancel(ticket)
    steps = [step for step, _ in passes]
    assert [tokens for _, tokens in passes] == [60] * 8
    assert len(set(steps)) == len(steps)


async def test_many_inputs_are_divided_into_passes(embedding_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(embedding_model, context=64, sequences=1, batch=64, pooling=True))
    inputs = [[2, 10 + index % 50, 3] for index in range(150)]
    vectors = await engine.embed(EmbedJob(inputs=inputs))
    assert len(vectors) == 150
    np.testing.assert_allclose(vectors[0], vectors[50], atol=1e-4)
    np.testing.assert_allclose(vectors[149], reference(embedding_model, inputs[149]), atol=1e-4)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [([2] * 65, "65 tokens.* too large"), ([], "no tokens"), ([10**6], "not in the vocabulary"), ([-5], "vocabulary")],
)
async def test_inputs_that_cannot_be_embedded(
    embedding_model: Path, open_engine: OpenEngine, tokens: list[int], reason: str
) -> None:
    engine = open_engine(spec_of(embedding_model, context=64, sequences=1, batch=64, pooling=True))
    with pytest.raises(GenerationError, match=reason) as refusal:
        await engine.embed(EmbedJob(inputs=[[2, 3], tokens]))
    assert refusal.value.status == 400
    assert len(await engine.embed(EmbedJob(inputs=[[2, 3]]))) == 1


async def test_an_embedding_model_does_not_generate(embedding_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(embedding_model, context=64, sequences=1, pooling=True))
    with pytest.raises(GenerationError, match="only makes embeddings"):
        await answers(engine, [greedy("x")])
