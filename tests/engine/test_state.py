"""A sequence goes on exactly where it broke off: in another engine, with its memory or without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pollama.errors import GenerationError
from pollama.runners.llamacpp.engine import Engine, Ticket
from pollama.types.generation import Delta, Finished, GenerateJob, Sampling, SequenceState
from tests.engine.conftest import OpenEngine, RandomModel
from tests.engine.support import GREEDY, Delivered, answer, greedy, spec_of

SAMPLED = Sampling(seed=5, temperature=1.3, top_k=20, top_p=0.9, repeat_penalty=1.2)
SPIN = Sampling(seed=5, temperature=0.5)
ENDLESS = "root ::= [a-z] root"
ANYTHING = {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 3}


def resumed(job: GenerateJob, deltas: list[Delta]) -> GenerateJob:
    """Return the job that goes on behind ``deltas``."""
    return replace(job, produced=[token for delta in deltas for token in delta.tokens], draws=deltas[-1].draws)


@pytest.mark.parametrize(
    "job",
    [
        greedy("please spin", 40),
        GenerateJob(prompt="please spin", max_tokens=40, sampling=replace(SAMPLED, repeat_penalty=0.5)),
        GenerateJob(prompt="please json", max_tokens=60, sampling=SAMPLED, format=ANYTHING),
        GenerateJob(prompt="the river " * 110 + "please spin", max_tokens=90, sampling=SAMPLED, keep=3),
    ],
    ids=["greedy", "sampled", "grammar", "shift"],
)
async def test_a_broken_off_job_goes_on_exactly(probe_model: Path, open_engine: OpenEngine, job: GenerateJob) -> None:
    first = open_engine(spec_of(probe_model, context=256))
    whole = await answer(first, job)
    assert len(whole.deltas) > 8
    for cut in (1, 7, len(whole.deltas) - 1):
        second = open_engine(spec_of(probe_model, context=256, sequences=2))
        rest = await answer(second, resumed(job, whole.deltas[:cut]))
        assert [delta.text for delta in rest.deltas] == [delta.text for delta in whole.deltas[cut:]]
        assert rest.end.generated_tokens == whole.end.generated_tokens
        assert rest.end.prompt_tokens == whole.end.prompt_tokens


@pytest.mark.parametrize(
    ("first", "limit"),
    [
        (greedy("please spin", 12), 12),
        (greedy("please spin", 12), 5),
        (greedy("please count", stop=["ee four"]), 40),
    ],
    ids=["limit", "beyond the limit", "stop string"],
)
async def test_an_answer_that_was_delivered_whole_only_ends(
    probe_model: Path, open_engine: OpenEngine, first: GenerateJob, limit: int
) -> None:
    engine = open_engine(spec_of(probe_model))
    whole = await answer(engine, first)
    rest = await answer(engine, replace(resumed(first, whole.deltas), max_tokens=limit))
    assert rest.deltas == []
    assert (rest.end.reason, rest.end.stopped_by) == (whole.end.reason, whole.end.stopped_by)
    assert rest.end.generated_tokens == len(whole.tokens)
    assert rest.end.prompt_tokens == whole.end.prompt_tokens


async def test_a_produced_end_token_ends_the_answer(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    whole = await answer(engine, greedy("please count"))
    rest = await answer(engine, greedy("please count", produced=[*whole.tokens, engine.info.eos]))
    assert (rest.deltas, rest.end.reason) == ([], "stop")


async def moved_out(engine: Engine, job: GenerateJob, count: int) -> tuple[SequenceState, list[Delta]]:
    """Run a job for ``count`` deltas and a little longer; return its memory and all that it delivered."""
    delivered = Delivered()
    ticket = engine.submit(job, delivered.take)
    deltas: list[Delta] = []
    state: SequenceState | None = None
    while isinstance(item := await delivered.get(), Delta):
        deltas.append(item)
        if len(deltas) == count:
            state = await engine.export_state(ticket)
            engine.cancel(ticket)
    assert isinstance(item, Finished)
    assert state is not None
    return state, deltas


@pytest.mark.parametrize("arch", ["llama", "gemma3", "mamba", "lfm2"])
async def test_exported_memory_is_taken_over_by_another_engine(
    arch: str, random_model: RandomModel, open_engine: OpenEngine
) -> None:
    model = random_model(arch)
    first, second = open_engine(spec_of(model)), open_engine(spec_of(model, sequences=2))
    job = GenerateJob(tokens=list(range(10, 110)), sampling=replace(SAMPLED, seed=2), grammar=ENDLESS)
    state, deltas = await moved_out(first, job, 5)
    assert await second.import_state(state)
    produced = [token for delta in deltas for token in delta.tokens]
    rest = replace(resumed(job, deltas), max_tokens=len(produced) + 10)
    going_on = await answer(second, rest)
    assert going_on.end.cached_tokens == len(state.tokens)
    assert going_on.tokens == (await answer(open_engine(spec_of(model)), rest)).tokens


async def test_a_shifted_sequence_moves_with_its_memory(probe_model: Path, open_engine: OpenEngine) -> None:
    spec = spec_of(probe_model, context=256)
    first, second = open_engine(spec), open_engine(spec)
    job = GenerateJob(prompt="please spin", max_tokens=-1, sampling=SPIN, keep=2)
    state, deltas = await moved_out(first, job, 300)
    assert state.pure == 3
    assert await second.import_state(state)
    rest = await answer(second, replace(resumed(job, deltas), max_tokens=len(deltas) + 10))
    assert rest.end.generated_tokens == len(deltas) + 10
    assert rest.end.cached_tokens == len(state.tokens)
    other = await answer(second, GenerateJob(tokens=[*state.tokens[:20], 320], max_tokens=1, sampling=GREEDY))
    assert other.end.cached_tokens <= 3


async def test_memory_of_another_layout_is_refused(
    probe_model: Path, native_model: Path, open_engine: OpenEngine
) -> None:
    first, second = open_engine(spec_of(probe_model)), open_engine(spec_of(native_model))
    state, _ = await moved_out(first, greedy("please spin", -1), 3)
    assert not await second.import_state(state)
    assert not await first.import_state(replace(state, data=state.data[:-10]))
    assert (await answer(first, greedy("please count"))).text.endswith("ten")


async def test_memory_that_is_refused_costs_no_cached_prefix(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    for prompt in ("please count", "the river", "a mountain"):
        await answer(engine, greedy(prompt, 4))
    state, _ = await moved_out(engine, greedy("please spin", -1), 3)
    cached = engine.status().cached_tokens
    assert not await engine.import_state(replace(state, data=state.data[:-10]))
    assert engine.status().cached_tokens == cached


async def test_what_waits_without_memory_cannot_be_exported(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=1))
    first, second = Delivered(), Delivered()
    running = engine.submit(greedy("please spin", -1), first.take)
    await first.get()
    waiting = engine.submit(greedy("please count"), second.take)
    while not engine.status().waiting:
        await first.get()
    with pytest.raises(GenerationError, match="waits and has no memory"):
        await engine.export_state(waiting)
    engine.cancel(running)
    assert isinstance(await second.get(), Delta)


async def test_what_does_not_run_cannot_be_exported(probe_model: Path, open_engine: OpenEngine) -> None:
    with pytest.raises(GenerationError, match="does not run"):
        await open_engine(spec_of(probe_model)).export_state(Ticket(99))


async def test_produced_tokens_must_follow_the_format(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    tokens = engine.tokenize("hello", add_special=False, parse_special=False)
    with pytest.raises(GenerationError, match="does not follow the requested format"):
        await answer(engine, replace(greedy("please json", format="json"), produced=tokens))
