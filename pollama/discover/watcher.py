"""Changes of the devices while the server runs, as a stream of readings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from pollama.types.devices import Device

log = logging.getLogger(__name__)

_NOTICED: Final = 0.01
"""Share of a device's memory that must have been taken or given back."""


class DeviceWatcher:
    """Reads the devices every few ``seconds`` while ``wanted`` says so.

    What changes while nobody wants to know is told when somebody does again.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[Device]]],
        wanted: Callable[[], bool] = lambda: True,
        seconds: float = 5.0,
    ) -> None:
        self._read = read
        self._wanted = wanted
        self._seconds = seconds

    async def changes(self) -> AsyncGenerator[Sequence[Device], None]:
        """Yield all devices whenever one came or went, has another speed, or has noticeably more or less memory."""
        before = await self._read()
        while True:
            await asyncio.sleep(self._seconds)
            if not self._wanted():
                continue
            now = await self._read()
            if differs(before, now):
                _log_ids(before, now)
                before = now
                yield now


def differs(before: Sequence[Device], now: Sequence[Device]) -> bool:
    """Tell whether a reading says something new. Memory counts from one per cent of the device's on."""
    if [_fixed(device) for device in before] != [_fixed(device) for device in now]:
        return True
    return any(
        abs(new.free_bytes - old.free_bytes) > _NOTICED * old.total_bytes for old, new in zip(before, now, strict=True)
    )


def _fixed(device: Device) -> tuple[object, ...]:
    return device.id, device.engine_name, device.capacity_bytes, device.bandwidth, device.compute


def _log_ids(before: Sequence[Device], now: Sequence[Device]) -> None:
    old, new = {device.id for device in before}, {device.id for device in now}
    if old - new:
        log.warning("devices are gone: %s", ", ".join(sorted(old - new)))
    if new - old:
        log.info("new devices: %s", ", ".join(sorted(new - old)))
