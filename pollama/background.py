"""What the server does between requests: it measures devices, sees them change, relieves those that are too busy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Final

from pollama.config import Config
from pollama.discover.benchmark import Benchmark, measure_when_idle
from pollama.discover.devices import DeviceReader
from pollama.discover.speeds import SpeedBook
from pollama.discover.topology import Links
from pollama.discover.watcher import DeviceWatcher
from pollama.scheduler.scheduler import ModelScheduler
from pollama.types.devices import Telemetry

log = logging.getLogger(__name__)

_LOOKS: Final = 6
"""Readings of the load within one cooldown."""
_TIMING: Final = 20.0
"""Seconds between two looks at the speed of replicas."""


class Background:
    """The tasks beside the requests of one server."""

    def __init__(self, config: Config, devices: DeviceReader, speeds: SpeedBook, scheduler: ModelScheduler) -> None:
        self._config = config
        self._devices = devices
        self._speeds = speeds
        self._scheduler = scheduler

    @contextlib.asynccontextmanager
    async def running(self, links: Links) -> AsyncIterator[None]:
        """Run the tasks for as long as the block lasts."""
        tasks = [
            asyncio.create_task(_surviving(name, work), name=name)
            for name, work in (
                ("measuring devices", self._measure(links)),
                ("watching devices", repeated("watching devices", self._watch)),
                ("balancing devices", repeated("balancing devices", self._balance)),
                ("timing replicas", repeated("timing replicas", self._time)),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _measure(self, links: Links) -> None:
        """Measure the devices between requests, where several of them are used and the settings do not forbid it."""
        if self._config.multi_gpu and self._config.performance_profiling:
            benchmark = Benchmark(self._speeds, self._config.environ)
            await measure_when_idle(benchmark, self._devices.read, links, self._is_idle)

    def _is_idle(self) -> bool:
        return not self._scheduler.waiting and not any(resident.in_use for resident in self._scheduler.residents())

    async def _watch(self) -> None:
        """Tell the scheduler when a device comes or goes or its memory is taken, while models are loaded."""
        watcher = DeviceWatcher(self._devices.glance, lambda: bool(self._scheduler.residents()))
        async with contextlib.aclosing(watcher.changes()) as changes:
            async for devices in changes:
                self._scheduler.devices_changed(devices)

    async def _balance(self) -> None:
        """Tell the scheduler how busy the devices are, while it is to move replicas by that."""
        while True:
            migration = self._scheduler.settings.migration
            await asyncio.sleep(max(1.0, migration.cooldown / _LOOKS))
            if migration.enabled and self._scheduler.residents():
                self._scheduler.measured(busy_shares(await self._devices.telemetry()))

    async def _time(self) -> None:
        """Tell the scheduler how fast replicas really are, while it predicts that."""
        while True:
            await asyncio.sleep(_TIMING)
            if self._scheduler.settings.enabled and self._scheduler.residents():
                self._scheduler.timed(await self._scheduler.statuses())


def busy_shares(readings: Sequence[Telemetry]) -> dict[str, float]:
    """Return the busy share of each device that tells it, 0 to 1."""
    return {reading.device: reading.utilisation / 100 for reading in readings if reading.utilisation is not None}


async def repeated(name: str, work: Callable[[], Coroutine[None, None, None]], pause: float = 60.0) -> None:
    """Begin ``work`` again ``pause`` seconds after it has failed: devices may be unreadable for a while."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s has failed; it goes on in %.0f seconds", name, pause)
        await asyncio.sleep(pause)


async def _surviving(name: str, work: Coroutine[None, None, None]) -> None:
    """Log what ends a task: the server can do without it."""
    try:
        await work
    except Exception:
        log.exception("%s has ended until the next start of the server", name)
