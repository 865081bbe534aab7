"""Short-lived child processes that look at the hardware, so that the head never does."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence


async def output_of(command: Sequence[str], environ: Mapping[str, str], seconds: float) -> bytes:
    """Return what ``command`` prints; it is killed after ``seconds``, and when the caller is cancelled.

    Its standard input stays open as long as this process lives, so that it can end with it.

    Raises OSError when it cannot be started, TimeoutError when it was killed. How it ends is not looked at.
    """
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            output = await process.stdout.read()
            await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return output
