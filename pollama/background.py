"""What the server does between requests: it measures devices, sees them change, relieves those that are too busy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
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
    """The tasks beside the requests of one server. ``look_seconds`` lie between two looks at what devices there are."""

    def __init__(
        self,
        config: Config,
        devices: DeviceReader,
        speeds: SpeedBook,
        scheduler: ModelScheduler,
        *,
        look_seconds: float = 5.0,
    ) -> None:
        self._config = config
        self._devices = devices
        self._speeds = speeds
        self._scheduler = scheduler
        self._look_seconds = look_seconds
        self._unmeasured = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self, links: Links) -> AsyncIterator[None]:
        """Run the tasks for as long as the block lasts."""
        tasks = [
            asyncio.create_task(repeated(name, work), name=name)
            for name, work in (
                ("measuring devices", partial(self._measure, links)),
                ("watching devices", self._watch),
                ("balancing devices", self._balance),
                ("timing replicas", self._time),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def settings_changed(self) -> None:
        """Look again at what is to be measured: several devices may be used from now on."""
        self._unmeasured.set()

    async def _measure(self, links: Links) -> None:
        """Measure the devices between requests, at first and when one has come.

        That is done where several of them are used and the settings do not forbid it.
        """
        benchmark = Benchmark(self._speeds, self._config.environ)
        while True:
            self._unmeasured.clear()
            if self._scheduler.settings.enabled and self._config.performance_profiling:
                await measure_when_idle(benchmark, self._devices.read, links, self._is_idle)
            await self._unmeasured.wait()

    def _is_idle(self) -> bool:
        return not self._scheduler.waiting and not any(resident.in_use for resident in self._scheduler.residents())

    async def _watch(self) -> None:
        """Tell the scheduler when a device comes or goes or its memory is taken, while models are loaded."""
        watcher = DeviceWatcher(self._devices.glance, lambda: bool(self._scheduler.residents()), self._look_seconds)
        known = {device.id for device in await self._devices.glance()}
        async with contextlib.aclosing(watcher.changes()) as changes:
            async for devices in changes:
                self._scheduler.devices_changed(devices)
                present = {device.id for device in devices}
                if not present <= known:
                    self._unmeasured.set()
                known = present

    async def _balance(self) -> None:
        """Tell the scheduler how busy the devices are, while it is to move replicas by that."""
        while True:
            migration = self._scheduler.settings.migration
            await asyncio.sleep(max(1.0, migration.cooldown / _LOOKS))
            if migration.enabled and self._scheduler.residents():
                self._scheduler.measured(busy_shares(await self._devices.telemetry()))

    async def _time(self) -> None:
        """Tell the scheduler how fast replicas really are, while it corrects predictions by that."""
        while True:
            await asyncio.sleep(_TIMING)
            settings = self._scheduler.settings
            if settings.enabled and settings.corrections and self._scheduler.residents():
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
