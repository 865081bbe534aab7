"""Prefix cache, preemption and context shift never change an answer, on any kind of memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pollama.runners.llamacpp.engine import Engine
from pollama.types.generation import GenerateJob, Sampling
from tests.engine.conftest import OpenEngine, OpenLoop, RandomModel
from tests.engine.reference import is_greedy, llama, plain_loop
from tests.engine.support import GREEDY, Answer, HandLoop, answer, answers, greedy, spec_of

ARCHITECTURES = ["llama", "gemma3", "mamba", "lfm2"]
"""Plain KV cache, sliding window, recurrent, hybrid."""
COUNT = " one two three four five six seven eight nine ten"


def tokens_job(tokens: list[int], max_tokens: int, **fields: object) -> GenerateJob:
    return GenerateJob(tokens=tokens, max_tokens=max_tokens, sampling=GREEDY, **fields)  # type: ignore[arg-type]


def random_prompt(seed: int, length: int) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(3, 512) for _ in range(length)]


@pytest.mark.parametrize("shared", [True, False])
async def test_a_known_prefix_is_not_computed_again(
    probe_model: Path, open_engine: OpenEngine, *, shared: bool
) -> None:
    prompt = "the river and the mountain " * 20
    engine = open_engine(spec_of(probe_model, shared=shared))
    cold = await answer(engine, greedy(prompt + "please count"))
    hot = await answer(engine, greedy(prompt + "please count"))
    branch = await answer(engine, greedy(prompt + "please json"))
    assert cold.end.cached_tokens == 0
    assert hot.end.cached_tokens == hot.end.prompt_tokens - 1
    assert branch.end.cached_tokens == branch.end.prompt_tokens - 1
    assert cold.text == hot.text == COUNT
    assert branch.text == '{"answer": 42}'


@pytest.mark.parametrize("shared", [True, False])
def test_a_prefix_is_taken_from_a_sequence_that_still_runs(
    probe_model: Path, open_loop: OpenLoop, *, shared: bool
) -> None:
    prompt = "the river and the mountain " * 20
    hand = open_loop(spec_of(probe_model, shared=shared))
    first = hand.add(greedy(prompt + "please spin", 60))
    while not first.generated:
        hand.step()
    second = hand.add(greedy(prompt + "please count"))
    hand.run()
    assert second.cached == second.prompt_length - 1
    assert hand.vocabulary.detokenize(hand.generated(second)) == COUNT
    assert hand.generated(first)[:9:3] == [hand.generated(first)[0]] * 3


@pytest.mark.parametrize("shared", [True, False])
async def test_an_unrelated_prompt_leaves_a_cached_one_alone(
    probe_model: Path, open_engine: OpenEngine, *, shared: bool
) -> None:
    conversation = "the river and the mountain " * 20
    engine = open_engine(spec_of(probe_model, sequences=3, shared=shared))
    await answer(engine, greedy(conversation))
    await answer(engine, greedy("please emoji"))
    again = await answer(engine, greedy(conversation + "please count"))
    assert again.end.cached_tokens >= 80
    assert again.text == COUNT


@pytest.mark.parametrize("arch", ARCHITECTURES)
async def test_a_conversation_goes_on_from_memory(
    arch: str, random_model: RandomModel, open_engine: OpenEngine
) -> None:
    model = random_model(arch)
    engine = open_engine(spec_of(model))
    opening = random_prompt(1, 100)
    first = await answer(engine, tokens_job(opening, 30))
    following = [*opening, *first.tokens, *random_prompt(2, 10)]
    second = await answer(engine, tokens_job(following, 30))
    assert second.end.cached_tokens >= len(opening) + len(first.tokens) - 1
    assert len(second.tokens) == 30
    assert is_greedy(model, opening, first.tokens)
    assert is_greedy(model, following, second.tokens)


@pytest.mark.parametrize("arch", ARCHITECTURES)
async def test_another_branch_of_a_conversation_is_right(
    arch: str, random_model: RandomModel, open_engine: OpenEngine
) -> None:
    model = random_model(arch)
    engine = open_engine(spec_of(model))
    stem = random_prompt(1, 120)
    await answer(engine, tokens_job(stem, 40))
    branches = [stem[:length] + random_prompt(length, 5) for length in (20, 70, 119)]
    got = await answers(engine, [tokens_job(branch, 20) for branch in branches])
    for branch, each in zip(branches, got, strict=True):
        assert each.tokens
        assert is_greedy(model, branch, each.tokens)


@pytest.mark.parametrize("arch", ARCHITECTURES)
async def test_too_few_cells_change_nothing(arch: str, random_model: RandomModel, open_engine: OpenEngine) -> None:
    model = random_model(arch)
    prompts = [random_prompt(seed, 90) for seed in range(5)]
    got = await answers(open_engine(spec_of(model, cells=512)), [tokens_job(prompt, 120) for prompt in prompts])
    for prompt, each in zip(prompts, got, strict=True):
        assert each.tokens
        assert is_greedy(model, prompt, each.tokens)


def test_the_youngest_is_preempted_and_finishes_later(probe_model: Path, open_loop: OpenLoop) -> None:
    jobs = [greedy(f"{'river ' * (10 * index)}please spin", 200) for index in range(4)]
    jobs.append(GenerateJob(prompt="tell me", max_tokens=100, sampling=Sampling(seed=3, temperature=1.5)))
    roomy = open_loop(spec_of(probe_model, sequences=5, context=512))
    tight = open_loop(spec_of(probe_model, sequences=5, context=512, cells=512))
    expected = [roomy.add(job) for job in jobs]
    got = [tight.add(job) for job in jobs]
    roomy.run()
    tight.run()
    assert roomy.loop.counters.preemptions == 0
    assert tight.loop.counters.preemptions > 0
    assert [tight.generated(each) for each in got] == [roomy.generated(each) for each in expected]


def test_an_exported_sequence_is_not_computed_again(probe_model: Path, open_loop: OpenLoop) -> None:
    hand = open_loop(spec_of(probe_model, sequences=3, context=512, cells=512))
    sequences = [hand.add(greedy(f"{word} please spin", 200)) for word in ("river", "mountain", "green")]
    hand.run()
    needed = sum(len(sequence.tokens) - 1 - sequence.cached for sequence in sequences)
    assert hand.loop.counters.preemptions > 0
    assert hand.loop.counters.rows == needed


async def shifted_reference(model: Path, prompt: list[int], count: int, keep: int, window: int) -> list[int]:
    """Generate with a plain loop that discards half of what follows ``keep`` when the context is full."""
    with plain_loop(model, window) as loop:
        produced = [loop.feed(prompt)]
        length = len(prompt)
        while len(produced) < count:
            if length + 1 >= window:
                gone = (length - keep) // 2
                assert llama.llama_memory_seq_rm(loop.memory, 0, keep, keep + gone)
                llama.llama_memory_seq_add(loop.memory, 0, keep + gone, length, -gone)
                length -= gone
            produced.append(loop.feed([produced[-1]]))
            length += 1
        return produced


@pytest.mark.parametrize("keep", [0, 7, -1])
@pytest.mark.parametrize("shared", [True, False])
async def test_a_full_context_shifts_as_a_plain_loop_does(
    random_model: RandomModel, open_engine: OpenEngine, keep: int, *, shared: bool
) -> None:
    model = random_model("llama", vocab=300)
    prompt = random_prompt(5, 50)
    prompt = [token % 290 + 3 for token in prompt]
    engine = open_engine(spec_of(model, context=256, shared=shared))
    got = await answer(engine, tokens_job(prompt, 600, keep=keep))
    kept = len(prompt) if keep < 0 else keep
    expected = await shifted_reference(model, prompt, len(got.tokens), kept, 256)
    assert len(got.tokens) > 400
    assert got.tokens == expected


async def lasting_answer(engine: Engine, prompt_length: int, count: int) -> tuple[list[int], Answer]:
    """Return the first random prompt that is answered with ``count`` tokens, and that answer."""
    for seed in range(50):
        prompt = random_prompt(seed, prompt_length)
        got = await answer(engine, tokens_job(prompt, count))
        if got.end.reason == "length":
            return prompt, got
    pytest.fail("every prompt ended early")


@pytest.mark.parametrize("arch", ["gemma3", "mamba", "lfm2"])
async def test_memory_that_cannot_shift_goes_on_from_a_recompute(
    arch: str, random_model: RandomModel, open_engine: OpenEngine
) -> None:
    model = random_model(arch)
    engine = open_engine(spec_of(model, context=256))
    prompt, got = await lasting_answer(engine, 180, 200)
    before_shift = 256 - len(prompt)
    assert is_greedy(model, prompt, got.tokens[:before_shift])
    in_context = prompt + got.tokens[: before_shift - 1]
    rest = in_context[len(in_context) // 2 :] + got.tokens[before_shift - 1 : before_shift]
    assert is_greedy(model, rest, got.tokens[before_shift : before_shift + 50])


async def test_without_shift_the_answer_ends_where_the_context_does(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, context=256))
    got = await answer(engine, greedy("please spin", 300, shift=False))
    assert got.end.reason == "length"
    assert got.end.prompt_tokens + got.end.generated_tokens == 256


async def test_tokens_behind_a_shift_serve_no_other_prompt(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=1, context=256))
    first = await answer(engine, greedy("please spin", 400, keep=2))
    assert first.end.generated_tokens == 400
    again = await answer(engine, greedy("please spin", 20))
    assert again.end.cached_tokens <= 3
    assert again.tokens == first.tokens[:20]


def run_by_hand(hand: HandLoop, job: GenerateJob) -> list[int]:
    sequence = hand.add(job)
    hand.run()
    return hand.generated(sequence)


@pytest.mark.parametrize("shared", [True, False])
def test_random_requests_in_random_order_equal_solo_runs(
    random_model: RandomModel, open_loop: OpenLoop, *, shared: bool
) -> None:
    model = random_model("llama")
    dice = random.Random(11)
    stems = [random_prompt(seed, 150) for seed in range(3)]
    jobs = []
    for index in range(30):
        stem = dice.choice(stems)[: dice.randint(1, 150)]
        jobs.append(tokens_job(stem + random_prompt(100 + index, dice.randint(1, 20)), dice.randint(1, 60)))
    hand = open_loop(spec_of(model, sequences=6, context=256, cells=512, shared=shared))
    sequences = []
    for job in jobs:
        sequences.append(hand.add(job))
        for _ in range(dice.randint(0, 12)):
            hand.step()
    hand.run()
    for job, sequence in zip(jobs, sequences, strict=True):
        assert job.tokens is not None
        assert is_greedy(model, job.tokens, hand.generated(sequence))
