"""What the vendors' libraries and the kernel know of GPUs, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pollama.types.devices import LinkKind, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """How a GPU is doing, None where it does not tell: units as in ``Telemetry``."""

    utilisation: float | None = None
    power: float | None = None
    temperature: float | None = None
    clock: float | None = None
    memory_clock: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a GPU that works like a GPU of its own (NVIDIA's MIG). Memory in bytes."""

    uuid: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; what nobody told is None, 0 or "".

    ``address`` is its PCI address in lower case with a four digit domain, as ggml writes it; "" for one without a
    slot. Memory in bytes, ``power_watts`` the limit. ``energy_joules`` is a counter, for GPUs that tell no power.
    """

    vendor: Vendor
    address: str
    name: str = ""
    uuid: str = ""
    total_bytes: int = 0
    free_bytes: int = 0
    driver: str = ""
    compute_capability: str = ""
    pcie_generation: int | None = None
    pcie_width: int | None = None
    numa_node: int | None = None
    power_watts: float | None = None
    sensors: Sensors = field(default_factory=Sensors)
    energy_joules: float | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A way between two GPUs, by their PCI addresses; ``bandwidth`` in bytes/s as the maker says, 0 = unknown."""

    first: str
    second: str
    kind: LinkKind
    bandwidth: float = 0.0


Reader = Callable[[], Sequence[Gpu]]


def read_all(readers: Sequence[Reader]) -> list[Gpu]:
    """Return the GPUs of all readers. Of two that describe the same GPU the earlier reader is believed."""
    found: dict[str, Gpu] = {}
    for gpu in (gpu for read in readers for gpu in read()):
        found.setdefault(gpu.address or f"{gpu.vendor} {gpu.name}", gpu)
    return list(found.values())


_LANE_BYTES = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""Bytes/s of a lane by PCI Express generation, after its line code."""


def pcie_bandwidth(generation: int | None, width: int | None) -> float:
    """Return the bytes/s that a slot can carry in one direction; 0 when it is not known."""
    return _LANE_BYTES.get(generation or 0, 0.0) * (width or 0)


_TRANSFERS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
"""PCI Express generations by their transfers per second and lane, in 10^9."""


def pcie_generation(transfers: float) -> int | None:
    """Return the generation of a link that makes ``transfers`` * 10^9 transfers per second."""
    return _TRANSFERS.get(transfers)
