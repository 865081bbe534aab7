"""Devices: what a replica or a stage can run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cuda", "rocm", "metal", "vulkan", "sycl", "cpu"]
Vendor = Literal["nvidia", "amd", "intel", "apple"]
LinkKind = Literal["nvlink", "xgmi", "pcie", "numa", "package", "host", "network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU or a set of CPU cores.

    Memory in bytes; ``bandwidth`` in bytes/s, ``compute`` in operations/s (0 = unknown).

    ``id`` survives restarts (PCI bus id or UUID for a GPU, the core set for a CPU device).
    ``engine_name`` is llama.cpp's own name of it (``CUDA0``); "" for the CPU.

    Static facts that nobody told are None or "": ``pci_address`` as ``0000:01:00.0``, the generation and the number of
    lanes of its PCIe slot as negotiated at most, ``numa_node`` next to which it lies, ``cache_bytes`` of the last
    level that its cores share, ``power_watts`` that it may draw.
    """

    id: str
    kind: DeviceKind
    name: str
    total_bytes: int
    free_bytes: int
    limit_bytes: int | None = None
    cores: tuple[int, ...] = ()
    engine_name: str = ""
    integrated: bool = False
    bandwidth: float = 0.0
    compute: float = 0.0
    driver: str = ""
    compute_capability: str = ""
    vendor: Vendor | None = None
    uuid: str = ""
    pci_address: str = ""
    pcie_generation: int | None = None
    pcie_width: int | None = None
    numa_node: int | None = None
    cache_bytes: int | None = None
    power_watts: float | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether layers placed here count as offloaded."""
        return self.kind != "cpu"

    @property
    def capacity_bytes(self) -> int:
        """Bytes that plans may use in all, whoever uses them now."""
        return self.total_bytes if self.limit_bytes is None else min(self.total_bytes, self.limit_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What joins two devices, by their ids.

    ``package``: cores of one socket; ``numa``: sockets or memory nodes, with the kernel's ``distance`` between them
    (10 = the same node, 0 = not known); ``nvlink``, ``xgmi`` (AMD's) and ``pcie``: a direct way to a GPU; ``host``: by
    way of the machine's memory; ``network``: another machine.

    ``bandwidth`` in bytes/s; ``latency`` in seconds is what it costs besides to hand work over and get the result
    back. 0 = unknown.
    """

    first: str
    second: str
    kind: LinkKind
    distance: int = 0
    bandwidth: float = 0.0
    latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """How a device is doing at ``time`` (seconds since the epoch); None = not told.

    ``utilisation`` in percent of the time busy, ``memory_used`` in bytes by all programs, ``power`` in watts,
    ``temperature`` in degrees Celsius, clocks in MHz.
    """

    device: str
    time: float
    utilisation: float | None = None
    memory_used: int | None = None
    power: float | None = None
    temperature: float | None = None
    clock: float | None = None
    memory_clock: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """A device with what is on it: bytes that further plans may take, and the number of replicas."""

    device: Device
    free_bytes: int
    replicas: int
