"""NVIDIA GPUs as the driver's management library (NVML) describes them, without touching their memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pynvml

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaGpu:
    """One GPU. ``hardware_id`` is the PCI address in lower case with a four digit domain, as ggml writes it."""

    hardware_id: str
    uuid: str
    name: str
    total_bytes: int
    free_bytes: int
    driver: str
    compute_capability: str


def nvidia_gpus() -> list[NvidiaGpu]:
    """Return all GPUs with their memory as it is now; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.debug("no NVIDIA driver: %s", error)
        return []
    try:
        return list(_read())
    except pynvml.NVMLError as error:
        log.warning("the NVIDIA driver does not answer: %s", error)
        return []
    finally:
        pynvml.nvmlShutdown()


def _read() -> Iterator[NvidiaGpu]:
    driver = _text(pynvml.nvmlSystemGetDriverVersion())
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        yield NvidiaGpu(
            hardware_id=pci_address(_text(pynvml.nvmlDeviceGetPciInfo(handle).busId)),
            uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
            name=_text(pynvml.nvmlDeviceGetName(handle)),
            total_bytes=memory.total,
            free_bytes=memory.free,
            driver=driver,
            compute_capability=f"{major}.{minor}",
        )


def _text(value: str | bytes) -> str:
    """Return NVML's text, which older versions of the binding leave as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def pci_address(bus_id: str) -> str:
    """Return NVML's ``00000000:01:00.0`` in the usual form ``0000:01:00.0``, lower case."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"
