"""Work beside other work: in threads, which cannot be cancelled, and in tasks that end with a block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

Result = TypeVar("Result")


async def to_its_end(work: Callable[[], Result]) -> Result:
    """Do ``work`` in a thread and return its result, or raise its error.

    A thread cannot be cancelled: the caller is, but only when the work is done, as its file may not be closed before.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()
        raise


@asynccontextmanager
async def beside(work: Coroutine[None, None, NoReturn]) -> AsyncIterator[None]:
    """Do endless ``work`` until the block ends. Raises what it failed with, at the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()
