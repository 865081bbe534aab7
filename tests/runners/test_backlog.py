from __future__ import annotations

import asyncio

from pollama.errors import GenerationError
from pollama.runners.llamacpp import backlog
from pollama.runners.llamacpp.backlog import Backlog
from pollama.types.generation import Delta, Finished, Logprob


async def test_what_waits_is_read_as_one_delta() -> None:
    items = Backlog()
    for character in "abc":
        entry = Logprob(token=character, logprob=-1.0)
        items.put(Delta(text=character, tokens=[ord(character)], logprobs=[entry]))
    items.put(Finished(reason="stop"))
    delta = await items.get()
    assert isinstance(delta, Delta)
    assert (delta.text, delta.tokens, [entry.token for entry in delta.logprobs]) == ("abc", [97, 98, 99], list("abc"))
    assert await items.get() == Finished(reason="stop")


async def test_a_reader_waits_for_the_next_item() -> None:
    items = Backlog()
    reader = asyncio.create_task(items.get())
    await asyncio.sleep(0)
    assert not reader.done()
    items.put(Delta(text="x"))
    assert await reader == Delta(text="x")


async def test_the_limit_ends_the_generation() -> None:
    items = Backlog()
    overflows: list[None] = []
    items.when_full(lambda: overflows.append(None))
    while not items.ended:
        items.put(Delta(text="x", tokens=[0] * 1000))
    delta = await items.get()
    assert isinstance(delta, Delta)
    assert backlog.LIMIT * 0.99 < len(delta.tokens) <= backlog.LIMIT
    assert isinstance(await items.get(), GenerationError)
    items.put(Delta(text="late"))
    assert len(overflows) == 1
    assert isinstance(await items.get(), GenerationError)
