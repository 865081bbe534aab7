"""All devices of this machine: what the engine can use, completed by what the vendors' libraries know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pollama.config import Config
from pollama.discover.cpu import Limits, allowed_cores, check_cores, cpu_devices
from pollama.discover.ggml import PROBE, EngineDevice, engine_devices
from pollama.discover.nvidia import NvidiaGpu, nvidia_gpus
from pollama.discover.speeds import SpeedBook
from pollama.types.devices import Device, DeviceKind

log = logging.getLogger(__name__)

_KINDS: Final[dict[str, DeviceKind]] = {
    "CUDA": "cuda",
    "ROCm": "rocm",
    "HIP": "rocm",
    "MTL": "metal",
    "Metal": "metal",
    "Vulkan": "vulkan",
    "SYCL": "sycl",
}
"""ggml's backend names."""

_SIMILAR: Final = 0.05
"""Two readings of one GPU's memory differ by less than this share."""


class DeviceReader:
    """Reads the devices again and again. The engine is asked once, unless only it knows a GPU's free memory.

    Raises ConfigError when it is made for partitions with cores that this process may not run on.
    """

    def __init__(
        self,
        config: Config,
        gpus: Callable[[], Sequence[NvidiaGpu]] = nvidia_gpus,
        probe: Sequence[str] = PROBE,
        speeds: SpeedBook | None = None,
    ) -> None:
        if config.cpu_partitions:
            place = f"{config.file}: devices.cpu" if config.file else "devices.cpu"
            check_cores(config.cpu_partitions, allowed_cores(Limits()), place)
        self._config = config
        self._vendor_gpus = gpus
        self._probe = probe
        self._speeds = speeds
        self._engine: list[EngineDevice] | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> list[Device]:
        """Return all devices with their free memory as it is now, and their speed where it was measured."""
        found = await self._read()
        return found if self._speeds is None else self._speeds.devices(found)

    async def _read(self) -> list[Device]:
        async with self._reading:
            known = await asyncio.to_thread(self._vendor_gpus)
            if self._engine is None:
                self._engine = await engine_devices(self._config.environ, self._probe)
                _log_devices(merge(self._engine, known, self._config))
            elif {device.hardware_id for device in self._engine} - {gpu.hardware_id for gpu in known}:
                self._engine = await engine_devices(self._config.environ, self._probe) or self._engine
            cpus = await asyncio.to_thread(cpu_devices, self._config.cpu_partitions)
            return [*merge(self._engine, known, self._config), *cpus]


def merge(engine: Sequence[EngineDevice], known: Sequence[NvidiaGpu], config: Config) -> list[Device]:
    """Return the GPUs that may be used: each once, as the settings allow."""
    by_address = {gpu.hardware_id: gpu for gpu in known}
    usable = _without_duplicates([device for device in engine if device.backend in _KINDS])
    gpus = [_device(device, by_address.get(device.hardware_id)) for device in usable]
    return [gpu for gpu in gpus if _allowed(gpu, config)]


def _device(device: EngineDevice, gpu: NvidiaGpu | None) -> Device:
    plain = Device(
        id=device.hardware_id or device.name,
        kind=_KINDS[device.backend],
        name=device.description,
        total_bytes=device.total_bytes,
        free_bytes=device.free_bytes,
        engine_name=device.name,
        integrated=device.kind == "igpu",
    )
    if gpu is None:
        return plain
    # A part of a GPU (MIG) has the address of the whole one; only the engine knows the memory of the part.
    whole = _similar(gpu.total_bytes, device.total_bytes)
    return replace(
        plain,
        id=gpu.uuid if whole else f"{gpu.uuid}/{device.name}",
        free_bytes=min(gpu.free_bytes, device.total_bytes) if whole else device.free_bytes,
        driver=gpu.driver,
        compute_capability=gpu.compute_capability if plain.kind == "cuda" else "",
    )


def _similar(first: int, second: int) -> bool:
    return abs(first - second) <= _SIMILAR * max(first, second)


def _without_duplicates(devices: Sequence[EngineDevice]) -> list[EngineDevice]:
    """Drop Vulkan's view of a GPU that a backend of its vendor serves as well."""
    native = [device for device in devices if _KINDS[device.backend] != "vulkan"]
    return [device for device in devices if device in native or not any(_same(device, other) for other in native)]


def _same(first: EngineDevice, second: EngineDevice) -> bool:
    if first.hardware_id and second.hardware_id:
        return first.hardware_id == second.hardware_id
    return _model(first) == _model(second) and _similar(first.total_bytes, second.total_bytes)


def _model(device: EngineDevice) -> str:
    """Return what a GPU is called, without the driver that Vulkan adds in brackets."""
    return device.description.casefold().split("(")[0].strip()


def _allowed(gpu: Device, config: Config) -> bool:
    if gpu.kind == "vulkan" and config.vulkan is False:
        return False
    if config.llm_library and not config.llm_library.startswith(gpu.kind):
        return False
    if not gpu.integrated or gpu.kind == "metal":
        return True
    if config.igpu_enable is not None:
        return config.igpu_enable
    # Unified memory of a CUDA system is as good as a card's; of the others only one is known to be worth it.
    if gpu.kind == "cuda" or (gpu.kind == "rocm" and "gfx1151" in gpu.name):
        return True
    log.info("dropping integrated GPU %s; to enable, set OLLAMA_IGPU_ENABLE=1", gpu.name)
    return False


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
