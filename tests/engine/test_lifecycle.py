"""Loading, refusing, cancelling, closing."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pollama.errors import GenerationError, LoadError, PromptTooLongError, WeightsError
from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.engine import Engine
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob
from pollama.types.options import Options
from tests.engine.conftest import OpenEngine, OpenLoop
from tests.engine.support import GREEDY, Delivered, answer, greedy, spec_of


def test_loading_reports_progress_and_facts(probe_model: Path) -> None:
    progress: list[float] = []
    engine = Engine.load(spec_of(probe_model, sequences=3, context=512), progress.append)
    info = engine.info
    engine.close()
    engine.close()
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert (info.context_length, info.trained_context, info.sequences, info.cells) == (512, 2048, 3, 1536)
    assert (info.bos, info.bos_text, info.adds_bos, info.eos) == (1, "<s>", True, 2)
    assert info.generates
    assert [(use.device, use.weights > 1_000_000, use.kv) for use in info.buffers] == [("CPU", True, 1536 * 512)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_loading_leaves_no_threads_that_would_make_others_sleep(probe_model: Path) -> None:
    tasks = Path("/proc/self/task")
    before = set(tasks.iterdir())
    engine = Engine.load(spec_of(probe_model, options=Options(num_thread=2)), lambda share: None)
    async with asyncio.timeout(30):
        while set(tasks.iterdir()) - before:  # helpers end a moment after the thread whose they are
            await asyncio.sleep(0.01)
    engine.close()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.gguf: No such file"):
        Engine.load(spec_of(tmp_path / "absent.gguf"), lambda share: None)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("not a model")
    with pytest.raises(WeightsError, match=r"text\.gguf: not a GGUF file"):
        Engine.load(spec_of(path), lambda share: None)


def test_a_damaged_file_is_refused_with_the_reason(probe_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(probe_model.read_bytes()[:200_000])
    with pytest.raises(LoadError, match=r"cut\.gguf: .*not within"):
        Engine.load(spec_of(path), lambda share: None)


def test_a_quantised_cache_needs_flash_attention(probe_model: Path) -> None:
    with pytest.raises(LoadError, match="flash attention"):
        Engine.load(spec_of(probe_model, kv_type="q8_0", flash_attention=False), lambda share: None)
    with pytest.raises(LoadError, match="q9_9"):
        Engine.load(spec_of(probe_model, kv_type="q9_9"), lambda share: None)


async def test_a_quantised_cache_works(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, kv_type="q8_0", flash_attention=True))
    plain = open_engine(spec_of(probe_model))
    assert (await answer(engine, greedy("please count"))).text == " one two three four five six seven eight nine ten"
    assert engine.info.buffers[0].kv < plain.info.buffers[0].kv


@pytest.mark.parametrize("options", [Options(use_mmap=False), Options(num_thread=2), Options(num_gpu=0)])
async def test_load_options(probe_model: Path, open_engine: OpenEngine, options: Options) -> None:
    engine = open_engine(spec_of(probe_model, options=options))
    assert (await answer(engine, greedy("please json"))).text == '{"answer": 42}'


async def test_a_long_prompt_is_cut_refused_or_answered(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, context=256))
    long = greedy("the river and the mountain " * 600 + "please count", keep=4)
    cut = await answer(engine, long)
    assert cut.end.prompt_tokens == 131
    assert cut.text == " one two three four five six seven eight nine ten"
    with pytest.raises(PromptTooLongError, match="the prompt is longer than the context length currently available"):
        await answer(engine, replace(long, shift=False))
    with pytest.raises(PromptTooLongError) as refusal:
        await answer(engine, replace(long, truncate=False))
    body = json.loads(str(refusal.value))["error"]
    assert (body["code"], body["n_prompt_tokens"], body["n_ctx"]) == (400, 3003, 256)


async def test_an_empty_prompt_is_answered_with_nothing(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    got = await answer(engine, GenerateJob(tokens=[], sampling=GREEDY))
    assert (got.deltas, got.end.reason, got.end.generated_tokens) == ([], "stop", 0)


async def test_what_was_cancelled_is_not_prepared(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))
    real, tokenized, cancelled = Vocabulary.tokenize, [], threading.Event()

    def tokenize(vocabulary: Vocabulary, text: str, **how: bool) -> list[int]:
        tokenized.append(text)
        assert cancelled.wait(30)
        return real(vocabulary, text, **how)

    monkeypatch.setattr(Vocabulary, "tokenize", tokenize)
    first, second = Delivered(), Delivered()
    engine.submit(greedy("first", 0), first.take)
    engine.cancel(engine.submit(greedy("second"), second.take))
    cancelled.set()
    ends = [await first.get(), await second.get()]
    assert [end.reason for end in ends if isinstance(end, Finished)] == ["length", "aborted"]
    assert tokenized == ["first"]


async def test_no_tokens_wanted(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    got = await answer(engine, greedy("please count", 0))
    assert (got.deltas, got.end.reason) == ([], "length")
    assert (got.end.prompt_tokens, got.end.generated_tokens) == (3, 0)


async def test_a_foreign_token_is_refused(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    with pytest.raises(GenerationError, match="token 99999 is not in the vocabulary"):
        await answer(engine, GenerateJob(tokens=[1, 99999]))
    with pytest.raises(GenerationError, match="token -1 is not in the vocabulary"):
        engine.detokenize([-1])


async def test_text_and_tokens(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    tokens = engine.tokenize("please count<|im_end|>", add_special=False, parse_special=True)
    assert engine.detokenize(tokens) == " please count<|im_end|>"
    assert engine.tokenize("", add_special=True, parse_special=True) == [engine.info.bos]
    assert len(engine.tokenize("<|im_end|>", add_special=False, parse_special=False)) > 1


def test_a_cancelled_sequence_frees_its_slot_at_once(probe_model: Path, open_loop: OpenLoop) -> None:
    hand = open_loop(spec_of(probe_model, sequences=1))
    first, second = hand.add(greedy("please spin", 400)), hand.add(greedy("please count"))
    hand.step()
    assert (first.generated, second.generated) == (1, 0)
    assert hand.loop.cancel(first.ticket) is not None
    hand.step()
    assert second.generated == 1
    assert hand.loop.cancel(first.ticket) is None
    assert hand.loop.running == 1


def test_a_waiting_sequence_can_be_cancelled(probe_model: Path, open_loop: OpenLoop) -> None:
    hand = open_loop(spec_of(probe_model, sequences=1))
    hand.add(greedy("please spin", 50))
    waiting = hand.add(greedy("please count"))
    hand.step()
    assert hand.loop.cancel(waiting.ticket) is not None
    assert hand.loop.waiting == 0


async def test_cancelling_a_stream(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=1))
    delivered = Delivered()
    ticket = engine.submit(greedy("please spin", -1), delivered.take)
    assert isinstance(await delivered.get(), Delta)
    engine.cancel(ticket)
    engine.cancel(ticket)
    items = [await delivered.get()]
    while not isinstance(items[-1], Finished):
        items.append(await delivered.get())
    assert items[-1].reason == "aborted"
    assert (await answer(engine, greedy("please count"))).text.endswith("ten")
    assert delivered.empty()


async def test_closing_ends_a_call_that_waits(embedding_model: Path) -> None:
    engine = Engine.load(spec_of(embedding_model, context=64, sequences=1, pooling=True), lambda share: None)
    waiting = asyncio.create_task(engine.embed(EmbedJob(inputs=[[1, 2]])))
    await asyncio.sleep(0)
    engine.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_closed_engine_refuses_what_needs_its_model(probe_model: Path) -> None:
    engine = Engine.load(spec_of(probe_model), lambda share: None)
    engine.close()
    with pytest.raises(GenerationError, match="the engine is closed"):
        engine.submit(greedy("please count"), lambda item: None)
    with pytest.raises(GenerationError, match="the engine is closed"):
        engine.tokenize("please count", add_special=True, parse_special=True)
    with pytest.raises(GenerationError, match="the engine is closed"):
        engine.detokenize([5])


@pytest.mark.parametrize("generates", [True, False])
async def test_a_closed_engine_embeds_nothing(probe_model: Path, embedding_model: Path, *, generates: bool) -> None:
    model = probe_model if generates else embedding_model
    engine = Engine.load(spec_of(model, context=64, sequences=1, pooling=not generates), lambda share: None)
    engine.close()
    with pytest.raises(GenerationError, match="the engine is closed"):
        await engine.embed(EmbedJob(inputs=[[1, 2]]))


async def test_a_job_can_be_cancelled_before_it_is_prepared(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    delivered = Delivered()
    engine.cancel(engine.submit(greedy("please spin " * 200, -1), delivered.take))
    items = [await delivered.get()]
    while not isinstance(items[-1], Finished):
        items.append(await delivered.get())
    assert items[-1].reason == "aborted"


async def test_closing_ends_what_still_runs(probe_model: Path) -> None:
    engine = Engine.load(spec_of(probe_model, sequences=1), lambda share: None)
    engine.start(lambda: None)
    delivered = Delivered()
    for _ in range(3):
        engine.submit(greedy("please spin", -1), delivered.take)
    await delivered.get()
    await asyncio.to_thread(engine.close)
    ends: list[Finished | Exception] = []
    while len(ends) < 3:
        item = await delivered.get()
        if not isinstance(item, Delta):
            ends.append(item)
    assert {type(end) for end in ends} == {GenerationError}


async def test_nothing_is_delivered_from_a_model_that_is_gone(probe_model: Path) -> None:
    engine = Engine.load(spec_of(probe_model, sequences=4), lambda share: None)
    engine.start(lambda: None)
    delivered: list[Delta | Finished | Exception] = []
    for _ in range(4):
        engine.submit(greedy("please spin", -1), delivered.append)
    while engine.status().decoded_tokens < 20:
        await asyncio.sleep(0.001)
    engine.close()
    engine.close()
    ends = [item for item in delivered if not isinstance(item, Delta)]
    assert [str(end) for end in ends] == ["the engine is closed"] * 4
    assert delivered[-4:] == ends
