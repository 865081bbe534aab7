"""What the server does between requests survives devices that cannot be read."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pollama.background import busy_shares, repeated
from pollama.types.devices import Telemetry


async def test_what_fails_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0
    went_on = asyncio.Event()

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise OSError("no answer from the driver")
        went_on.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(repeated("watching devices", work, pause=0))
    await asyncio.wait_for(went_on.wait(), 30)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (attempts, caplog.messages) == (2, ["watching devices has failed; it goes on in 0 seconds"])


def test_devices_that_do_not_tell_their_load_are_left_out() -> None:
    readings = [Telemetry(device="a", time=1, utilisation=50.0), Telemetry(device="b", time=1)]
    assert busy_shares(readings) == {"a": 0.5}
