"""Images of models with M-RoPE, where an image takes far more KV cells than positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pollama.errors import PromptTooLongError
from pollama.native.context import Context
from pollama.native.errors import DecodeError, NativeError, NoRoomError
from pollama.native.media import Projector
from pollama.runners.llamacpp import load
from pollama.runners.llamacpp.cache import Slot
from pollama.runners.llamacpp.memory import KvMemory
from pollama.runners.llamacpp.sequences import FailureEvent, Sequence
from pollama.types.generation import GenerateJob
from pollama.types.plans import LoadSpec
from tests.engine.conftest import OpenEngine, OpenLoop, RandomModel
from tests.engine.projector import png, write_mrope_projector
from tests.engine.seeing import describe, mtmd_tokens
from tests.engine.support import GREEDY, HandLoop, answer, greedy, spec_of

RED, GREEN, BLUE = png(255, 0, 0), png(0, 255, 0), png(0, 0, 255)
CELLS, POSITIONS = 64, 8
LONG = "look [image] " + "and see what is there " * 20
Seeing = tuple[Path, Path]
Alone = Callable[[GenerateJob], list[int]]


@pytest.fixture(scope="module", autouse=True)
def _small_images() -> Iterator[None]:
    """Let images have few tokens, for speed; a real model of this architecture sees too little then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(load._LEAST_IMAGE_TOKENS, "qwen2vl", CELLS)
        yield


@pytest.fixture(scope="session")
def seeing_model(random_model: RandomModel, tmp_path_factory: pytest.TempPathFactory) -> Seeing:
    """A model with M-RoPE and its projector."""
    model = random_model("qwen2vl", context=4096, seed=9)
    return model, write_mrope_projector(tmp_path_factory.mktemp("mrope") / "mmproj.gguf", 64)


def seeing_spec(seeing: Seeing, **fields: Any) -> LoadSpec:
    """Return a load that computes alike whatever is computed beside it."""
    exact = {"kv_type": "f32", "flash_attention": False}
    return spec_of(seeing[0], **{"context": 512, "projectors": (seeing[1],), **exact, **fields})


@pytest.fixture(scope="module")
def alone(seeing_model: Seeing, _small_images: None) -> Iterator[Alone]:
    """What a job generates when nothing is beside it and nothing fails."""
    hand = HandLoop(seeing_spec(seeing_model, sequences=1))

    def generate(job: GenerateJob) -> list[int]:
        sequence = hand.add(job)
        hand.run()
        return hand.generated(sequence)

    yield generate
    hand.close()


@pytest.mark.parametrize(
    ("images", "shared"), [([RED], True), ([GREEN, RED], False)], ids=["one, shared cells", "two, own cells"]
)
async def test_an_image_is_seen_as_mtmd_sees_it(
    seeing_model: Seeing, open_engine: OpenEngine, images: list[bytes], *, shared: bool
) -> None:
    model, projector = seeing_model
    engine = open_engine(spec_of(model, sequences=2, projectors=(projector,), shared=shared))
    got = await answer(engine, describe(*images))
    assert got.tokens == mtmd_tokens(model, projector, images, 12, least_tokens=CELLS)


async def test_a_known_image_is_not_decoded_again(seeing_model: Seeing, open_engine: OpenEngine) -> None:
    engine = open_engine(seeing_spec(seeing_model, sequences=2))
    cold = await answer(engine, describe(RED))
    hot = await answer(engine, describe(RED))
    other = await answer(engine, describe(GREEN))
    assert cold.tokens == hot.tokens != other.tokens
    assert cold.end.prompt_tokens > CELLS
    assert hot.end.cached_tokens == hot.end.prompt_tokens - 1
    assert other.end.cached_tokens < CELLS


def test_the_cells_of_images_are_counted(seeing_model: Seeing, open_loop: OpenLoop) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=2))
    first, second = hand.add(describe(RED, max_tokens=4)), hand.add(describe(RED, max_tokens=8))
    hand.run()
    assert first.extra_cells == CELLS - POSITIONS
    assert hand.loop.memory.cells_used == second.cells - 1


@pytest.mark.parametrize("shared", [True, False], ids=["shared cells", "own cells"])
async def test_images_whose_cells_do_not_fit_are_refused(
    seeing_model: Seeing, open_engine: OpenEngine, *, shared: bool
) -> None:
    engine = open_engine(seeing_spec(seeing_model, sequences=2, context=256, shared=shared))
    with pytest.raises(PromptTooLongError, match=r"exceeds the available context size \(256 tokens\)"):
        await answer(engine, describe(RED, RED, RED, RED))
    assert (await answer(engine, greedy("hello", 4))).end.generated_tokens == 4


@pytest.mark.parametrize("shared", [True, False], ids=["shared cells", "own cells"])
async def test_a_sequence_ends_where_its_cells_do(
    seeing_model: Seeing, open_engine: OpenEngine, *, shared: bool
) -> None:
    engine = open_engine(seeing_spec(seeing_model, sequences=1, context=256, shared=shared))
    got = await answer(engine, describe(RED, max_tokens=-1))
    assert got.end.reason == "length"
    assert got.end.prompt_tokens + got.end.generated_tokens == 256
    assert (await answer(engine, greedy("hello", 4))).end.generated_tokens == 4


def test_sequences_with_images_are_preempted(seeing_model: Seeing, open_loop: OpenLoop, alone: Alone) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=3, context=256, cells=256))
    jobs = [describe(image, max_tokens=60) for image in (RED, GREEN)]
    sequences = [hand.add(job) for job in jobs]
    hand.run()
    assert hand.loop.counters.preemptions > 0
    assert [hand.generated(sequence) for sequence in sequences] == [alone(job) for job in jobs]
    after = hand.add(greedy("hello", 4))
    hand.run()
    assert len(hand.generated(after)) == 4


def test_cells_run_out_behind_an_image(
    seeing_model: Seeing, open_loop: OpenLoop, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=2, cells=512))
    monkeypatch.setattr(hand.loop, "_fits", lambda _: True)
    real, ends = KvMemory.resynchronise, []

    def resynchronise(memory: KvMemory, slot: Slot) -> None:
        ends.append(slot.tokens[-1])
        real(memory, slot)

    monkeypatch.setattr(KvMemory, "resynchronise", resynchronise)
    text = hand.add(GenerateJob(tokens=[300] * 412, max_tokens=60, sampling=GREEDY))
    while not text.generated:
        hand.step()
    job = describe(RED, prompt=LONG, max_tokens=20)
    sequence = hand.add(job)
    hand.run()
    assert min(ends) < 0
    assert hand.generated(sequence) == alone(job)
    assert len(hand.generated(text)) == 60


def failing_once_behind(error: Callable[[], NativeError], sequence: Sequence, times: int) -> Callable[..., None]:
    """Return a decode that fails when the memory of ``sequence`` ends with its image."""
    real, left = Context.decode, times

    def decode(context: Context, batch: Any) -> None:
        nonlocal left
        slot = sequence.slot
        if left and slot is not None and slot.tokens and slot.tokens[-1] < 0:
            left -= 1
            raise error()
        real(context, batch)

    return decode


ERRORS: dict[str, Callable[[], NativeError]] = {
    "no room": lambda: NoRoomError("no free KV cells"),
    "failed decode": lambda: DecodeError(-3),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("shared", [True, False], ids=["shared cells", "own cells"])
def test_an_engine_that_fails_behind_an_image_goes_on(
    seeing_model: Seeing,
    open_loop: OpenLoop,
    alone: Alone,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], NativeError],
    *,
    shared: bool,
) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=2, shared=shared))
    beside = hand.add(greedy("hello", 60))
    hand.step()
    job = describe(RED, prompt=LONG)
    sequence = hand.add(job)
    with monkeypatch.context() as patch:
        patch.setattr(Context, "decode", failing_once_behind(error, sequence, 1))
        hand.run()
    assert hand.generated(sequence) == alone(job)
    assert hand.generated(beside) == alone(greedy("hello", 60))


def test_an_image_that_fails_half_way_is_decoded_again(
    seeing_model: Seeing, open_loop: OpenLoop, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=2))
    real, calls = Projector.decode, 0

    def decode(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        real(*arguments)
        if calls == 1:
            raise NoRoomError("no free KV cells for an image")

    with monkeypatch.context() as patch:
        patch.setattr(Projector, "decode", decode)
        hand.add(greedy("hello", 30))
        sequence = hand.add(describe(RED))
        hand.run()
    assert hand.generated(sequence) == alone(describe(RED))


def test_an_engine_that_keeps_failing_ends_that_sequence_only(
    seeing_model: Seeing, open_loop: OpenLoop, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = open_loop(seeing_spec(seeing_model, sequences=2))
    sequence = hand.add(describe(RED))
    failures = []
    with monkeypatch.context() as patch:
        patch.setattr(Context, "decode", failing_once_behind(ERRORS["failed decode"], sequence, 2))
        while not hand.loop.idle:
            failures += [event for event in hand.loop.step() if isinstance(event, FailureEvent)]
    assert [failure.ticket for failure in failures] == [sequence.ticket]
    after = hand.add(describe(RED))
    hand.run()
    assert hand.generated(after) == alone(describe(RED))


def test_the_memory_of_an_image_moves_to_another_engine(
    seeing_model: Seeing, open_loop: OpenLoop, alone: Alone
) -> None:
    here, there = (open_loop(seeing_spec(seeing_model, sequences=2)) for _ in range(2))
    job = describe(RED, max_tokens=20)
    sequence = here.add(job)
    while sequence.generated < 5:
        here.step()
    exported = here.loop.export(sequence.ticket)
    assert exported is not None
    assert there.loop.memory.adopt(exported.data, exported.tokens, exported.pure)
    produced = sequence.tokens[sequence.prompt_length :]
    resumed = there.add(replace(job, produced=produced))
    there.run()
    assert resumed.cached == sequence.prompt_cells + len(produced) - 1
    assert there.generated(resumed) == alone(job)
