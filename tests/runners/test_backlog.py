from __future__ import annotations

import asyncio

from pollama.errors import GenerationError
from pollama.runners import backlog
from pollama.runners.backlog import Backlog
from pollama.types.generation import Delta, Finished, Logprob


async def test_what_waits_is_read_at_once_and_item_by_item() -> None:
    items = Backlog()
    deltas = [Delta(text=character, logprobs=[Logprob(token=character, logprob=-1.0)]) for character in "abc"]
    for delta in deltas:
        items.put(delta)
    assert await items.get() == deltas
    items.put(deltas[0])
    items.put(Finished(reason="stop"))
    assert await items.get() == [deltas[0], Finished(reason="stop")]


async def test_a_reader_waits_for_the_next_item() -> None:
    items = Backlog()
    reader = asyncio.create_task(items.get())
    await asyncio.sleep(0)
    assert not reader.done()
    items.put(Delta(text="x"))
    assert await reader == [Delta(text="x")]


async def test_the_limit_ends_the_generation() -> None:
    overflows: list[None] = []
    items = Backlog()
    items.when_full(lambda: overflows.append(None))
    while not items.ended:
        items.put(Delta(text="x", tokens=[0] * 1000))
    items.put(Delta(text="late"))
    *deltas, end = await items.get()
    tokens = sum(len(delta.tokens) for delta in deltas if isinstance(delta, Delta))
    assert backlog.LIMIT * 0.99 < tokens <= backlog.LIMIT
    assert isinstance(end, GenerationError)
    assert len(overflows) == 1
    assert await items.get() == [end]
