"""Devices: what a replica or a stage can run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cuda", "rocm", "metal", "vulkan", "sycl", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU or a set of CPU cores.

    Memory in bytes; ``bandwidth`` in bytes/s, ``compute`` in operations/s (0 = unknown).

    ``id`` survives restarts (PCI bus id or UUID for a GPU, the core set for a CPU device).
    ``engine_name`` is llama.cpp's own name of it (``CUDA0``); "" for the CPU.
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
    (10 = the same node, 0 = not known).
    """

    first: str
    second: str
    kind: Literal["package", "numa"]
    distance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """A device with what is on it: bytes that further plans may take, and the number of replicas."""

    device: Device
    free_bytes: int
    replicas: int
