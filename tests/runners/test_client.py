"""A runner over its socket, with a scripted engine in a real process."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import psutil
import pytest

from pollama.errors import FormatError, GenerationError, PollamaError, PromptTooLongError, RunnerDiedError
from pollama.runners.client import HttpRunner
from pollama.types.generation import Delta, EmbedJob, Finished, GenerateJob


async def _collect(runner: HttpRunner, prompt: str) -> tuple[str, Finished]:
    items = [item async for item in runner.generate(GenerateJob(prompt=prompt))]
    assert isinstance(items[-1], Finished)
    return "".join(item.text for item in items[:-1] if isinstance(item, Delta)), items[-1]


async def _until_idle(runner: HttpRunner) -> None:
    while (await runner.status()).running:
        await asyncio.sleep(0.01)


async def test_calls_round_trip(runner: HttpRunner) -> None:
    assert runner.info.context_length == 512
    assert await runner.tokenize("ab", add_special=True, parse_special=False) == [1, 97, 98]
    assert await runner.count_tokens(["abc", ""]) == [4, 1]
    assert await runner.detokenize([104, 233]) == "hé"
    assert await runner.embed(EmbedJob(inputs=[[1, 2], [5]])) == [[3.0, 1.5], [5.0, 1.5]]
    assert (await runner.status()).state == "ready"


async def test_generation_streams_deltas_and_one_end(runner: HttpRunner) -> None:
    text, finished = await _collect(runner, "one two three")
    assert text == "onetwothree"
    assert finished == Finished(reason="stop", prompt_tokens=3, generated_tokens=3)


async def test_long_answer_arrives_whole(runner: HttpRunner) -> None:
    text, _ = await _collect(runner, "flood 100000")
    assert text == "word " * 100_000


@pytest.mark.parametrize(
    ("prompt", "kind", "message", "status"),
    [
        ("too-long", PromptTooLongError, "the prompt is too long", 400),
        ("format", FormatError, "bad schema", 500),
        ("teapot", GenerationError, "short and stout", 418),
        ("later teapot", GenerationError, "short and stout", 418),
        ("later too-long", PromptTooLongError, "the prompt is too long", 400),
    ],
)
async def test_errors_keep_class_text_and_status(
    runner: HttpRunner, prompt: str, kind: type[PollamaError], message: str, status: int
) -> None:
    with pytest.raises(kind) as caught:
        await _collect(runner, prompt)
    assert (str(caught.value), caught.value.status) == (message, status)


async def test_a_wrong_body_is_refused_by_name(runner: HttpRunner) -> None:
    wrong: Any = EmbedJob(inputs=["text"])  # type: ignore[list-item]
    with pytest.raises(PollamaError, match="invalid body of /embed: Expected `array`"):
        await runner.embed(wrong)


async def test_closing_a_generation_cancels_it(runner: HttpRunner) -> None:
    async with aclosing(runner.generate(GenerateJob(prompt="forever"))) as stream:
        await anext(stream)
        assert (await runner.status()).running == 1
    await _until_idle(runner)


async def test_dropped_generations_leave_nothing(runner: HttpRunner) -> None:
    await _until_idle(runner)
    tasks, descriptors = len(asyncio.all_tasks()), psutil.Process().num_fds()
    for _ in range(10):
        drops = [asyncio.create_task(_drop_one(runner)) for _ in range(20)]
        await asyncio.gather(*drops)
    await _until_idle(runner)
    assert len(asyncio.all_tasks()) == tasks
    assert psutil.Process().num_fds() <= descriptors + 1
    assert await _collect(runner, "still here") == (
        "stillhere",
        Finished(reason="stop", prompt_tokens=2, generated_tokens=2),
    )


async def _drop_one(runner: HttpRunner) -> None:
    async with aclosing(runner.generate(GenerateJob(prompt="forever"))) as stream:
        await anext(stream)


async def test_a_cancelled_reader_cancels_its_generation(runner: HttpRunner) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async for _ in runner.generate(GenerateJob(prompt="forever")):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until_idle(runner)


async def test_a_reader_that_stays_away_loses_the_generation(runner: HttpRunner) -> None:
    async with aclosing(runner.generate(GenerateJob(prompt="forever"))) as stream:
        await anext(stream)
        await _until_idle(runner)
        with pytest.raises(GenerationError, match="not read for too long"):
            async for _ in stream:
                pass


async def test_death_of_the_process_reaches_its_requests(runner: HttpRunner) -> None:
    async with aclosing(runner.generate(GenerateJob(prompt="forever"))) as victim:
        await anext(victim)
        with pytest.raises(RunnerDiedError, match="signal: killed: error: out of luck"):
            await _collect(runner, "die")
        with pytest.raises(RunnerDiedError, match="signal: killed: error: out of luck"):
            async for _ in victim:
                pass
    assert await runner.wait_closed() == "signal: killed: error: out of luck"
    with pytest.raises(RunnerDiedError, match="out of luck"):
        await runner.status()


async def test_an_engine_that_failed_for_good_ends_its_process(runner: HttpRunner) -> None:
    await _collect(runner, "break")
    assert await runner.wait_closed() == "exit status 1: error: the loop ended"
