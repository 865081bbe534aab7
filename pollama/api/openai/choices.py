"""Several answers to one request (``n``), side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from pollama.api.generation import check_top_logprobs, translated
from pollama.api.streaming import Event, closing
from pollama.errors import BadRequestError
from pollama.types.requests import ChatRequest, CompletionRequest

_MOST_CHOICES: Final = 128

Numbered = tuple[int, Event]
"""An event and the number of the choice that it belongs to."""


def count_of(fields: dict[str, Any]) -> int:
    """Return how many choices are asked for. Raises BadRequestError."""
    count: int = fields.get("n", 1)
    if not 1 <= count <= _MOST_CHOICES:
        raise BadRequestError(f"n must be between 1 and {_MOST_CHOICES}")
    return count


async def numbered(
    request: web.Request, wanted: ChatRequest | CompletionRequest, count: int, *, one_call: bool = False
) -> AsyncGenerator[Numbered, None]:
    """Yield the events of ``count`` answers as they come. The first failure ends all. Raises as the native dialect."""
    check_top_logprobs(wanted.top_logprobs)
    if count == 1:
        async with closing(translated(request, wanted, one_call=one_call)) as answer:
            async for event in answer:
                yield 0, event
        return
    async with AsyncExitStack() as stack:
        answers = [
            await stack.enter_async_context(
                closing(translated(request, replace(wanted, choice=index), one_call=one_call))
            )
            for index in range(count)
        ]
        async for numbered_event in await stack.enter_async_context(closing(_merged(answers))):
            yield numbered_event


def by_choice(events: Iterable[Numbered], count: int) -> list[list[Event]]:
    """Return the events of each choice."""
    answers: list[list[Event]] = [[] for _ in range(count)]
    for index, event in events:
        answers[index].append(event)
    return answers


async def _merged(answers: Sequence[AsyncIterator[Event]]) -> AsyncGenerator[Numbered, None]:
    """Yield what all have to say. The others begin behind the first event: the prompt is in the cache by then."""
    waiting: dict[asyncio.Task[Event | None], int] = {}
    try:
        first = await anext(answers[0], None)
        waiting = {asyncio.create_task(_next(answer)): index for index, answer in enumerate(answers)}
        if first is not None:
            yield 0, first
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=waiting.__getitem__):
                index, event = waiting.pop(task), task.result()
                if event is not None:
                    waiting[asyncio.create_task(_next(answers[index]))] = index
                    yield index, event
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _next(answer: AsyncIterator[Event]) -> Event | None:
    return await anext(answer, None)
