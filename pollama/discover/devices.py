"""All devices of this machine: what the engine can use, completed by what vendors and the kernel know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pollama.clock import Clock, SystemClock
from pollama.config import Config
from pollama.discover import amd
from pollama.discover.apple import apple_gpus
from pollama.discover.cpu import Limits, allowed_cores, check_cores, cpu_devices
from pollama.discover.drm import drm_gpus
from pollama.discover.files import whole
from pollama.discover.ggml import PROBE, EngineDevice, engine_devices
from pollama.discover.gpus import Gpu, Reader, read_all
from pollama.discover.merge import merge
from pollama.discover.nvidia import nvidia_gpus
from pollama.discover.selection import limited, log_dropped, log_unknown_numbers, select
from pollama.discover.speeds import SpeedBook
from pollama.discover.telemetry import Sensors
from pollama.types.devices import Device, Telemetry

log = logging.getLogger(__name__)

READERS: Final[tuple[Reader, ...]] = (nvidia_gpus, amd.amd_gpus, drm_gpus, apple_gpus)
"""The libraries of the vendors first, the kernel for those that have none."""

_APART_SECONDS: Final = 1.0


class DeviceReader:
    """Reads the devices again and again. The engine is asked once, unless only it knows a GPU's free memory.

    Raises ConfigError when it is made for partitions with cores that this process may not run on.
    """

    def __init__(
        self,
        config: Config,
        *,
        speeds: SpeedBook | None = None,
        readers: Sequence[Reader] = READERS,
        probe: Sequence[str] = PROBE,
        clock: Clock | None = None,
    ) -> None:
        if config.cpu_partitions:
            place = f"{config.file}: devices.cpu" if config.file else "devices.cpu"
            check_cores(config.cpu_partitions, allowed_cores(Limits()), place)
        self._config = config
        self._speeds = speeds
        self._read_gpus = partial(read_all, readers)
        self._probe = probe
        self._clock = clock or SystemClock()
        self._sensors = Sensors()
        self._told: list[Telemetry] = []
        self._told_at = 0.0
        self._engine: list[EngineDevice] | None = None
        self._measured: set[str] = set()
        self._reading = asyncio.Lock()

    async def read(self) -> list[Device]:
        """Return all devices with their free memory as it is now, and their speed where it was measured."""
        async with self._reading:
            return self._with_speeds((await self._survey())[0])

    async def glance(self) -> list[Device]:
        """Return the same without asking the engine, as long as the vendors tell of the same GPUs as before.

        Cheap enough for every few seconds; what only the engine knows is as old as the last ``read``.
        """
        async with self._reading:
            return self._with_speeds((await self._survey(ask=False))[0])

    def _with_speeds(self, devices: list[Device]) -> list[Device]:
        return devices if self._speeds is None else self._speeds.devices(devices)

    async def telemetry(self) -> list[Telemetry]:
        """Return how all devices are doing; loads are means since the reading before, and not known in the first.

        Readings are a second apart at least, whoever asks in between: a load over less is noise.
        """
        async with self._reading:
            if not self._told or self._clock.monotonic() - self._told_at >= _APART_SECONDS:
                devices, known = await self._survey(ask=False)
                self._told = await asyncio.to_thread(self._sensors.read, devices, known, self._clock.time())
                self._told_at = self._clock.monotonic()
            return self._told

    async def _survey(self, *, ask: bool = True) -> tuple[list[Device], list[Gpu]]:
        known = [with_node(gpu) for gpu in await asyncio.to_thread(self._read_gpus)]
        gpus = select(merge(await self._engine_devices(known, ask=ask), known), self._config)
        nodes = self._config.multi_gpu
        cpus = await asyncio.to_thread(cpu_devices, self._config.cpu_partitions, by_node=nodes)
        return [limited(device, self._config) for device in (*gpus, *cpus)], known

    async def _engine_devices(self, known: Sequence[Gpu], *, ask: bool) -> list[EngineDevice]:
        """Ask the engine at first and when a GPU comes or goes; with ``ask`` also when only it knows free memory."""
        measured = {gpu.address for gpu in known if gpu.total_bytes}
        unmeasured = {device.hardware_id for device in self._engine or ()} - measured
        if self._engine is None or measured != self._measured or (ask and unmeasured):
            first, self._measured = self._engine is None, measured
            answer = await engine_devices(self._config.environ, self._probe)
            self._engine = (self._engine or []) if answer is None else answer
            if first:
                self._log(merge(self._engine, known), known)
        return self._engine

    def _log(self, gpus: Sequence[Device], known: Sequence[Gpu]) -> None:
        log_unknown_numbers(gpus, self._config)
        log_dropped(gpus, self._config)
        _log_devices(select(gpus, self._config))
        if any(gpu.vendor == "amd" for gpu in known) and not amd.has_library():
            log.info("ROCm's library is absent (pip install 'pollama[amd]'): AMD GPUs are read through the kernel")


def with_node(gpu: Gpu, root: Path = Path("/")) -> Gpu:
    """Return ``gpu`` with the memory node next to it, where the kernel tells."""
    return replace(gpu, numa_node=whole(root / "sys/bus/pci/devices" / gpu.address / "numa_node"))


def _log_devices(gpus: Sequence[Device]) -> None:
    for gpu in gpus:
        log.info(
            "inference compute: id=%s library=%s compute=%s name=%s driver=%s total=%d available=%d",
            gpu.id,
            gpu.kind,
            gpu.compute_capability or "unknown",
            gpu.name,
            gpu.driver or "unknown",
            gpu.total_bytes,
            gpu.free_bytes,
        )
    if not gpus:
        log.info("inference compute: cpu")
