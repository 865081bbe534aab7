"""Images: encoded off the loop, decoded in it, cached like text."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pollama.errors import GenerationError, LoadError, PromptTooLongError
from pollama.native.context import Context
from pollama.native.media import MediaChunk, Projector
from pollama.runners.llamacpp.engine import Engine
from pollama.runners.llamacpp.load import load
from pollama.types.generation import GenerateJob
from tests.engine.conftest import OpenEngine, OpenLoop, RandomModel
from tests.engine.projector import POSITIONS, png, write_projector
from tests.engine.seeing import describe, mtmd_tokens
from tests.engine.support import GREEDY, answer, answers, spec_of

RED, GREEN = png(255, 0, 0), png(0, 255, 0)


@pytest.fixture(scope="session")
def seeing_model(random_model: RandomModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model and its projector."""
    model = random_model("llama")
    return model, write_projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf", 64)


@pytest.mark.parametrize("images", [[RED], [GREEN, RED]], ids=["one", "two"])
@pytest.mark.parametrize("shared", [True, False])
async def test_an_image_is_seen_as_mtmd_sees_it(
    seeing_model: tuple[Path, Path], open_engine: OpenEngine, images: list[bytes], *, shared: bool
) -> None:
    model, projector = seeing_model
    engine = open_engine(spec_of(model, projectors=(projector,), shared=shared))
    got = await answer(engine, describe(*images))
    assert got.tokens == mtmd_tokens(model, projector, images, 12)
    assert (engine.info.vision, engine.info.audio) == (True, False)


async def test_a_known_image_is_not_decoded_again(seeing_model: tuple[Path, Path], open_engine: OpenEngine) -> None:
    model, projector = seeing_model
    engine = open_engine(spec_of(model, projectors=(projector,)))
    cold = await answer(engine, describe(RED))
    hot = await answer(engine, describe(RED))
    other = await answer(engine, describe(GREEN))
    text_before = len(engine.tokenize("look ", add_special=True, parse_special=True))
    assert hot.end.cached_tokens == hot.end.prompt_tokens - 1
    assert other.end.cached_tokens == text_before
    assert cold.tokens == hot.tokens
    assert cold.end.prompt_tokens == text_before + POSITIONS + len(
        engine.tokenize(" now", add_special=False, parse_special=True)
    )


def test_images_do_not_stop_those_who_produce(seeing_model: tuple[Path, Path], open_loop: OpenLoop) -> None:
    model, projector = seeing_model
    hand = open_loop(spec_of(model, projectors=(projector,)))
    stream = hand.add(GenerateJob(tokens=list(range(10, 20)), max_tokens=40, sampling=GREEDY))
    hand.step()
    seeing = hand.add(describe(RED, GREEN, RED))
    while not seeing.generated:
        before = stream.generated
        hand.step()
        assert stream.generated == before + 1


def test_images_are_computed_in_turn_like_batches(seeing_model: tuple[Path, Path], open_loop: OpenLoop) -> None:
    model, projector = seeing_model
    hand = open_loop(spec_of(model, projectors=(projector,)))
    hand.add(describe(RED, GREEN))
    hand.run()
    assert hand.turn.taken == hand.loop.counters.steps + 2


def test_the_time_that_an_image_takes_counts(seeing_model: tuple[Path, Path]) -> None:
    model, projector = seeing_model
    loaded = load(spec_of(model, projectors=(projector,)), lambda share: None)
    assert isinstance(loaded.memory, Context)
    assert loaded.projector is not None
    with closing(loaded.model), closing(loaded.memory), closing(loaded.projector):
        (chunk,) = loaded.projector.prompt(["look ", " now"], [RED], lambda: None).chunks.values()
        loaded.projector.decode(loaded.memory, chunk, 0, 0)
        assert loaded.memory.busy_seconds > 0.0


async def test_images_survive_preemption(seeing_model: tuple[Path, Path], open_engine: OpenEngine) -> None:
    model, projector = seeing_model
    engine = open_engine(spec_of(model, context=256, cells=256, projectors=(projector,)))
    jobs = [describe(image, max_tokens=70) for image in (RED, GREEN, png(0, 0, 255), png(9, 9, 9))]
    alone = open_engine(spec_of(model, sequences=1, context=256, projectors=(projector,)))
    for job, got in zip(jobs, await answers(engine, jobs), strict=True):
        assert got.tokens == (await answer(alone, job)).tokens


async def test_bad_media_are_refused(
    seeing_model: tuple[Path, Path], probe_model: Path, open_engine: OpenEngine
) -> None:
    model, projector = seeing_model
    engine = open_engine(spec_of(model, context=256, projectors=(projector,)))
    with pytest.raises(GenerationError, match="Failed to load image or audio file") as refusal:
        await answer(engine, describe(b"not an image"))
    assert refusal.value.status == 400
    with pytest.raises(GenerationError, match="0 places for 1 images"):
        await answer(engine, describe(RED, prompt="no marker"))
    with pytest.raises(GenerationError, match="takes no images"):
        await answer(open_engine(spec_of(probe_model)), describe(RED))
    with pytest.raises(PromptTooLongError, match="exceeds the available context size"):
        await answer(engine, describe(RED, prompt="look [image] " + "word " * 300))
    with pytest.raises(GenerationError, match="ends with an image or audio"):
        await answer(engine, describe(RED, prompt="look [image]"))


def test_a_damaged_projector_is_named(probe_model: Path, tmp_path: Path) -> None:
    projector = tmp_path / "broken.gguf"
    projector.write_bytes(b"GGUF but not really")
    with pytest.raises(LoadError, match=r"projector broken\.gguf: "):
        Engine.load(spec_of(probe_model, projectors=(projector,)), lambda share: None)


def test_images_of_a_cancelled_request_are_not_encoded(
    seeing_model: tuple[Path, Path], open_loop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, projector = seeing_model
    hand = open_loop(spec_of(model, projectors=(projector,)))
    real, encoded = Projector._encoded, []

    def encode(self: Projector, part: Any, placeholder: int) -> MediaChunk:
        encoded.append(placeholder)
        return real(self, part, placeholder)

    def proceed() -> None:
        if encoded:
            raise InterruptedError

    monkeypatch.setattr(Projector, "_encoded", encode)
    with pytest.raises(InterruptedError):
        hand.prepare(describe(RED, GREEN), proceed)
    assert len(encoded) == 1
