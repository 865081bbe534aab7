"""Continuous batching computes what each sequence would have got alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.types.generation import GenerateJob
from tests.engine.conftest import OpenEngine, OpenLoop
from tests.engine.reference import plain_tokens
from tests.engine.support import GREEDY, answer, answers, greedy, spec_of

PROMPTS = ["please count", "please emoji", "please json", "the river please loop", "tell me a story", "please spin"]


@pytest.mark.parametrize("shared", [True, False])
async def test_greedy_tokens_equal_a_plain_loop(probe_model: Path, open_engine: OpenEngine, *, shared: bool) -> None:
    engine = open_engine(spec_of(probe_model, shared=shared))
    together = await answers(engine, [greedy(prompt) for prompt in PROMPTS])
    for prompt, got in zip(PROMPTS, together, strict=True):
        tokens = engine.tokenize(prompt, add_special=True, parse_special=True)
        assert got.tokens == plain_tokens(probe_model, tokens, 40)
        assert got.end.prompt_tokens == len(tokens)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_long_prompt_beside_fifteen_streams(
    probe_model: Path, open_engine: OpenEngine, *, shared: bool
) -> None:
    spec = spec_of(probe_model, sequences=16, context=2048, cells=8192, shared=shared, batch=128)
    jobs = [greedy(f"{'old river ' * index}please spin", 60) for index in range(15)]
    jobs.append(greedy("the river and the mountain " * 400 + "please count"))
    crowd = await answers(open_engine(spec), jobs)
    alone = open_engine(spec_of(probe_model, sequences=1, context=2048))
    assert crowd[-1].end.prompt_tokens > 2000
    for job, got in zip(jobs, crowd, strict=True):
        assert got.text == (await answer(alone, job)).text


@pytest.mark.parametrize("shared", [True, False])
def test_a_long_prompt_never_takes_a_step_from_those_that_produce(
    probe_model: Path, open_loop: OpenLoop, *, shared: bool
) -> None:
    hand = open_loop(spec_of(probe_model, sequences=4, context=2048, shared=shared, batch=64))
    streams = [hand.add(greedy("please spin", 100)) for _ in range(3)]
    hand.step()
    prompt = hand.add(greedy("river " * 1500 + "please count"))
    steps_of_prompt = 0
    while not prompt.generated:
        before = [stream.generated for stream in streams]
        hand.step()
        steps_of_prompt += 1
        assert [stream.generated for stream in streams] == [count + 1 for count in before]
        if steps_of_prompt == 20:
            break
    assert steps_of_prompt == 20, "the prompt was computed in one piece"


def test_a_short_prompt_beside_those_that_produce_takes_one_step(probe_model: Path, open_loop: OpenLoop) -> None:
    hand = open_loop(spec_of(probe_model, sequences=4, batch=128))
    streams = [hand.add(greedy("please spin", 100)) for _ in range(3)]
    for _ in range(3):
        hand.step()
    prompt = hand.add(GenerateJob(tokens=list(range(10, 27)), sampling=GREEDY))
    hand.step()
    assert (prompt.generated, [stream.generated for stream in streams]) == (1, [4, 4, 4])


def test_a_batch_never_exceeds_its_capacity_and_runs_dense_ids(probe_model: Path, open_loop: OpenLoop) -> None:
    hand = open_loop(spec_of(probe_model, sequences=6, context=256, shared=False, batch=16))
    short = [hand.add(greedy("please count", 3)) for _ in range(3)]
    long = [hand.add(greedy("please spin", 60)) for _ in range(3)]
    while any(sequence.slot for sequence in short) or not long[0].generated:
        hand.step()
    hand.step()
    indices = sorted(sequence.running_slot.index for sequence in long)
    assert indices == list(range(indices[0], indices[0] + 3))
    hand.run()
    alone = open_loop(spec_of(probe_model, sequences=1, context=256))
    expected = alone.add(greedy("please spin", 60))
    alone.run()
    assert [hand.generated(sequence) for sequence in long] == [alone.generated(expected)] * 3


async def test_more_jobs_than_sequences_wait_their_turn(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=2))
    got = await answers(engine, [greedy("please count")] * 7)
    assert {each.text for each in got} == {" one two three four five six seven eight nine ten"}
    assert engine.status().running == 0
    assert engine.status().waiting == 0


async def test_given_tokens_are_used_unchanged(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    first = await answer(engine, greedy("please count", 4))
    prompt = engine.tokenize("please count", add_special=True, parse_special=True)
    rest = await answer(engine, GenerateJob(tokens=prompt + first.tokens, sampling=GREEDY, max_tokens=40))
    assert first.text + rest.text == " one two three four five six seven eight nine ten"
    assert rest.end.prompt_tokens == len(prompt) + 4
