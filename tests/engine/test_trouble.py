"""When the engine library fails, sequences go on or end with an error; nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pollama.errors import GenerationError
from pollama.native.batch import Batch
from pollama.native.context import Context
from pollama.native.errors import DecodeError
from pollama.runners.llamacpp.loop import Loop
from pollama.runners.llamacpp.prepare import Preparer
from pollama.runners.llamacpp.sequences import Event, FailureEvent
from pollama.types.generation import EmbedJob
from tests.engine.conftest import OpenEngine, OpenLoop
from tests.engine.support import answer, greedy, spec_of

COUNT = " one two three four five six seven eight nine ten"


def failing_decode(fails: Callable[[int], bool]) -> Callable[[Context, Batch], None]:
    """Return a decode that fails in the calls, counted from 1, that ``fails`` names."""
    real, calls = Context.decode, 0

    def decode(context: Context, batch: Batch) -> None:
        nonlocal calls
        calls += 1
        if fails(calls):
            raise DecodeError(-3)
        real(context, batch)

    return decode


async def test_a_batch_that_fails_once_is_computed_again(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))
    monkeypatch.setattr(Context, "decode", failing_decode(lambda call: call in {1, 4}))
    assert (await answer(engine, greedy("please count"))).text == COUNT


async def test_a_batch_that_keeps_failing_ends_its_sequences_only(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))
    monkeypatch.setattr(Context, "decode", failing_decode(lambda call: call in {3, 4}))
    with pytest.raises(GenerationError, match="could not process a batch"):
        await answer(engine, greedy("please spin"))
    assert (await answer(engine, greedy("please count"))).text == COUNT


def test_what_a_failed_batch_left_in_memory_is_used(
    probe_model: Path, open_loop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = open_loop(spec_of(probe_model))
    real, calls = Context.decode, 0

    def decode(context: Context, batch: Batch) -> None:
        nonlocal calls
        calls += 1
        real(context, batch)
        if calls == 2:
            raise DecodeError(2)

    monkeypatch.setattr(Context, "decode", decode)
    sequence = hand.add(greedy("please count"))
    hand.run()
    assert hand.vocabulary.detokenize(hand.generated(sequence)) == COUNT


async def test_a_loop_that_breaks_fails_everything_at_once(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))

    def broken(_loop: Loop) -> list[Event]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Loop, "step", broken)
    for _ in range(2):
        with pytest.raises(GenerationError, match="the engine failed: a defect"):
            await answer(engine, greedy("please count"))
    assert (engine.status().state, engine.status().error) == ("failed", "a defect")
    engine.close()
    with pytest.raises(GenerationError, match="the engine is closed"):
        await answer(engine, greedy("please count"))


async def test_a_defect_in_the_preparation_ends_that_job_only(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(probe_model))
    with monkeypatch.context() as patch:
        patch.setattr(Preparer, "sequence", lambda *_: 1 / 0)
        with pytest.raises(GenerationError, match="division by zero"):
            await answer(engine, greedy("please count"))
    assert (await answer(engine, greedy("please count"))).text == COUNT


async def test_an_embedding_that_fails_is_an_error(
    embedding_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(spec_of(embedding_model, context=64, sequences=1, pooling=True))
    monkeypatch.setattr(Context, "decode", failing_decode(lambda call: call == 1))
    with pytest.raises(GenerationError, match="could not process a batch"):
        await engine.embed(EmbedJob(inputs=[[2, 3]]))
    assert len(await engine.embed(EmbedJob(inputs=[[2, 3]]))) == 1


def test_a_sequence_that_cannot_fit_alone_ends(
    probe_model: Path, open_loop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = open_loop(spec_of(probe_model, context=256, sequences=1))
    sequence = hand.add(greedy("please spin", -1))
    hand.step()
    blocker = 1
    context = sequence.running_slot
    monkeypatch.setattr(hand.loop, "_window", 10**6)
    monkeypatch.setattr(type(sequence.shift_rule), "due", lambda rule, computed: None)
    events: list[Event] = []
    while not any(isinstance(event, FailureEvent) for event in events):
        events = hand.loop.step()
        blocker += 1
        assert blocker < 10_000
    assert context.tokens == []
    assert hand.loop.idle
