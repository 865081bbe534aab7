"""Sampling options, seeds and log probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pollama.errors import GenerationError
from pollama.native.errors import NativeError
from pollama.native.model import Model, Placement
from pollama.native.sampler import Candidates, Chain, Grammar
from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.sampling import TokenChooser, chain_settings, score
from pollama.types.generation import GenerateJob, Sampling
from tests.engine.conftest import OpenEngine, RandomModel
from tests.engine.reference import plain_loop
from tests.engine.support import GREEDY, answer, answers, greedy, spec_of

HOT = Sampling(seed=7, temperature=1.6, top_k=0, top_p=1.0)


def story(sampling: Sampling, max_tokens: int = 30) -> GenerateJob:
    return GenerateJob(prompt="tell me a story", max_tokens=max_tokens, sampling=sampling)


@pytest.fixture(scope="module")
def vocabulary(probe_model: Path) -> Iterator[Vocabulary]:
    """The vocabulary of the probe model."""
    model = Model(probe_model, Placement(devices=[]), lambda share: None)
    yield model.vocabulary
    model.close()


async def test_a_seed_gives_the_same_text_whatever_else_runs(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=8))
    alone = await answer(engine, story(HOT))
    crowd = [story(HOT), *(story(replace(HOT, seed=seed)) for seed in range(5)), greedy("please spin"), story(HOT)]
    together = await answers(engine, crowd)
    assert together[0].tokens == together[-1].tokens == alone.tokens
    assert len({tuple(each.tokens) for each in together[1:6]}) == 5


async def test_without_a_seed_texts_differ(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    texts = {(await answer(engine, story(replace(HOT, seed=None)))).text for _ in range(3)}
    assert len(texts) == 3


@pytest.mark.parametrize(
    "limits",
    [
        {"top_k": 1},
        {"top_p": 0.0001},
        {"min_p": 1.0},
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": 1e-4},
    ],
)
async def test_options_that_leave_one_token_are_greedy(
    probe_model: Path, open_engine: OpenEngine, limits: dict[str, float]
) -> None:
    engine = open_engine(spec_of(probe_model))
    expected = await answer(engine, story(GREEDY))
    assert (await answer(engine, story(replace(HOT, **limits)))).tokens == expected.tokens  # type: ignore[arg-type]


async def test_top_k_limits_the_choice(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    jobs = [replace(story(replace(HOT, seed=seed, top_k=3), 1), top_logprobs=3) for seed in range(20)]
    for got in await answers(engine, jobs):
        chosen = got.deltas[0].logprobs[0]
        assert chosen.token in {alternative.token for alternative in chosen.top}


@pytest.mark.parametrize("penalty", [{"repeat_penalty": 5.0}, {"presence_penalty": 20.0}, {"frequency_penalty": 20.0}])
async def test_penalties_end_a_loop(probe_model: Path, open_engine: OpenEngine, penalty: dict[str, float]) -> None:
    engine = open_engine(spec_of(probe_model))
    plain = await answer(engine, greedy("please loop", 12))
    assert len(set(plain.tokens)) == 1
    job = GenerateJob(prompt="please loop", max_tokens=12, sampling=replace(GREEDY, **penalty))  # type: ignore[arg-type]
    tokens = (await answer(engine, job)).tokens
    assert len(set(tokens)) == len(tokens) > 1


async def test_the_repeat_penalty_is_llama_cpps(probe_model: Path, open_engine: OpenEngine) -> None:
    sampling = replace(GREEDY, repeat_penalty=5.0, repeat_last_n=64)
    got = await answer(
        open_engine(spec_of(probe_model)), GenerateJob(prompt="please spin", max_tokens=12, sampling=sampling)
    )
    assert got.text == " around upside down student min power pow such into hand answer even"


@pytest.mark.parametrize("sampling", [GREEDY, HOT])
async def test_a_bias_forbids_or_forces_tokens(probe_model: Path, open_engine: OpenEngine, sampling: Sampling) -> None:
    engine = open_engine(spec_of(probe_model))
    plain = (await answer(engine, story(sampling, 8))).tokens
    without = replace(sampling, logit_bias=dict.fromkeys(plain, -100.0))
    assert not set((await answer(engine, story(without, 8))).tokens) & set(plain)
    forced = replace(sampling, logit_bias={plain[0]: 100.0})
    assert set((await answer(engine, story(forced, 8))).tokens) == {plain[0]}


async def test_a_bias_of_a_token_that_does_not_exist_is_refused(probe_model: Path, open_engine: OpenEngine) -> None:
    job = story(replace(GREEDY, logit_bias={10**6: 1.0}))
    with pytest.raises(GenerationError, match="logit_bias: token 1000000 is not in the vocabulary") as caught:
        await answer(open_engine(spec_of(probe_model)), job)
    assert caught.value.status == 400


async def test_log_probabilities_are_those_of_the_raw_logits(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    job = replace(story(replace(HOT, top_k=2), 5), top_logprobs=4)
    got = await answer(engine, job)
    prompt = engine.tokenize(job.prompt, add_special=True, parse_special=True)
    with plain_loop(probe_model) as loop:
        following = prompt
        for delta in got.deltas:
            logits = loop.logits_after(following).astype(np.float64)
            expected = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
            logprob = delta.logprobs[0]
            assert logprob.logprob == pytest.approx(expected[delta.tokens[-1]], abs=0.01)
            assert [top.logprob for top in logprob.top] == pytest.approx(sorted(expected)[:-5:-1], abs=0.01)
            following = delta.tokens


async def test_all_log_probabilities_sum_to_one(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    everything = engine.info.vocabulary_length
    got = await answer(engine, replace(story(HOT, 1), top_logprobs=everything))
    total = math.fsum(math.exp(top.logprob) for top in got.deltas[0].logprobs[0].top)
    assert len(got.deltas[0].logprobs[0].top) == everything
    assert total == pytest.approx(1.0, abs=1e-4)


async def test_log_probabilities_come_only_when_asked_for(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    plain, chosen = await answers(engine, [greedy("please count"), replace(greedy("please count"), top_logprobs=0)])
    assert all(not delta.logprobs for delta in plain.deltas)
    assert all(len(delta.logprobs) == 1 and not delta.logprobs[0].top for delta in chosen.deltas)
    assert chosen.deltas[0].logprobs[0].logprob == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("sampling", [GREEDY, replace(GREEDY, repeat_penalty=1.1), Sampling(), HOT])
@pytest.mark.parametrize("share", [1, 7])
def test_what_is_not_a_number_is_no_choice(vocabulary: Vocabulary, sampling: Sampling, share: int) -> None:
    logits = np.zeros(vocabulary.length, np.float32)
    logits[::share] = np.nan
    chooser = TokenChooser(vocabulary, chain_settings(sampling, 256))
    with pytest.raises(NativeError, match="not a number"):
        chooser.choose(logits)
    with pytest.raises(NativeError, match="not a number"):
        score(logits, 1, 3)
    chooser.close()


SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.8, 2.0]),
    top_k=st.sampled_from([0, 1, 5, 40, 5000]),
    top_p=st.sampled_from([0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.1]),
    typical_p=st.sampled_from([0.7, 1.0]),
    repeat_last_n=st.sampled_from([0, 4, 64, -1]),
    repeat_penalty=st.sampled_from([0.8, 1.0, 1.3]),
    presence_penalty=st.sampled_from([-1.0, 0.0, 1.5]),
    frequency_penalty=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**32 - 2),
)


@pytest.fixture(scope="module")
def large_vocabulary(random_model: RandomModel) -> Iterator[Vocabulary]:
    """A vocabulary of which a few likely tokens are a small part."""
    path = random_model("llama", layers=1, width=32, heads=1, kv_heads=1, ffn=32, vocab=32_000, quant="f32")
    model = Model(path, Placement(devices=[]), lambda share: None)
    yield model.vocabulary
    model.close()


@given(
    seed=st.integers(0, 2**32 - 1),
    sampling=SAMPLINGS,
    rule=st.sampled_from(["", "root ::= [a-z ]*", "root ::= ([a-e] | [0-9])*"]),
)
@settings(deadline=None)
def test_the_choice_is_that_of_the_whole_chain_over_all_tokens(
    vocabulary: Vocabulary, large_vocabulary: Vocabulary, *, seed: int, sampling: Sampling, rule: str
) -> None:
    vocabulary = (vocabulary, large_vocabulary)[seed % 2]
    chain_of = chain_settings(sampling, 256)
    dice = np.random.default_rng(seed)
    prompt: list[int] = dice.integers(0, vocabulary.length, 50).tolist()
    grammar, reference = (Grammar(vocabulary, rule) if rule else None for _ in range(2))
    chooser, chain = TokenChooser(vocabulary, chain_of, grammar), Chain(vocabulary, chain_of)
    chooser.remember(prompt)
    for token in prompt:
        chain.accept(token)
    for _ in range(5):
        logits = (dice.standard_normal(vocabulary.length) * 3).astype(np.float32)
        logits[[token for token in range(vocabulary.length) if vocabulary.ends(token)]] = -np.inf
        assert chooser.choose(logits) == expected_choice(chain, reference, logits)
    chooser.close()
    chain.close()
    if reference is not None:
        reference.close()


def expected_choice(chain: Chain, grammar: Grammar | None, logits: NDArray[np.float32]) -> int:
    """Return what the whole chain chooses among all tokens, or where the grammar forbids that, among all it leaves."""
    everything = np.arange(len(logits), dtype=np.int32)
    expected = chain.apply(Candidates(everything, logits))
    if grammar is not None:
        if not grammar.allows(expected):
            candidates = Candidates(everything, logits)
            grammar.mask(candidates)
            expected = chain.apply(candidates)
        grammar.accept(expected)
    chain.accept(expected)
    return expected
