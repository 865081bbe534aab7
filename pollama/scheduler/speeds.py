"""How fast devices and the links between them are: as measured, else as devices of their kind usually are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.types.devices import Device, DeviceKind, Link


@dataclass(frozen=True, slots=True)
class Speed:
    """Bytes of weights and cache that are read per second, and operations per second.

    ``overlaps`` tells that a device reads and computes at the same time. A core does one after the other: of a 250M
    model in Q4_0, 1, 4, 8 and 16 sequences took it 23, 32, 61 and 90 ms, and a prompt 3.4 ms per token.
    """

    bandwidth: float
    compute: float
    overlaps: bool = True

    def seconds(self, read: float, operations: float) -> float:
        """Return how long a device is busy."""
        reading, computing = read / self.bandwidth, operations / self.compute
        return max(reading, computing) if self.overlaps else reading + computing

    def times(self, factor: float) -> Speed:
        """Return a speed that is ``factor`` times as high."""
        return Speed(self.bandwidth * factor, self.compute * factor, self.overlaps)


@dataclass(frozen=True, slots=True)
class Border:
    """The way from one stage to the next: seconds one way, and bytes/s."""

    latency: float
    bandwidth: float

    def seconds(self, size: float) -> float:
        """Return how long ``size`` bytes are under way."""
        return self.latency + size / self.bandwidth


_CORE: Final = Speed(bandwidth=8e9, compute=5e10)
_KINDS: Final[dict[DeviceKind, Speed]] = {
    "cuda": Speed(bandwidth=5e11, compute=3e13),
    "rocm": Speed(bandwidth=5e11, compute=2e13),
    "metal": Speed(bandwidth=2e11, compute=5e12),
    "vulkan": Speed(bandwidth=2e11, compute=1e13),
    "sycl": Speed(bandwidth=2e11, compute=1e13),
}
_INTEGRATED: Final = Speed(bandwidth=6e10, compute=2e12)
"""What is assumed of a device that has not been measured: of each core of a CPU, of a GPU by its kind."""

_CORE_WATTS: Final = 10.0
_GPU_WATTS: Final = 250.0

_LOOPBACK: Final = Border(latency=4e-4, bandwidth=3e9)
_BUS: Final = Border(latency=2e-5, bandwidth=1.2e10)
_NVLINK: Final = Border(latency=1e-5, bandwidth=5e10)
_NETWORK: Final = Border(latency=5e-4, bandwidth=1e8)

_IN_WORKER: Final = Speed(bandwidth=0.85, compute=0.6)
"""Of a CPU device's speed, what is left in a worker, which cannot rearrange the weights for its processor."""
JOINED_SHARE: Final = 0.84
"""Of the cores of several CPU devices together, what one engine on all of them makes of it."""
TENSOR_SHARE: Final = 0.9
CORE_SYNC: Final = 2e-5
"""Seconds per layer and pass until all cores of joined CPU devices have met, with threads that wait awake: steps on two
cores leave next to nothing for it (docs/performance.md). Threads that sleep take 4e-4 to 8e-4."""


def speed_of(device: Device) -> Speed:
    """Return the measured speed of a device; where there is none, what is usual for its kind."""
    usual = _INTEGRATED if device.integrated else _KINDS.get(device.kind) or _CORE.times(max(1, len(device.cores)))
    return Speed(device.bandwidth or usual.bandwidth, device.compute or usual.compute, overlaps=device.is_gpu)


def speed_in_worker(device: Device) -> Speed:
    """Return the speed of a device in a process of its own, which serves it to a runner."""
    speed = speed_of(device)
    if device.is_gpu:
        return speed
    return replace(speed, bandwidth=speed.bandwidth * _IN_WORKER.bandwidth, compute=speed.compute * _IN_WORKER.compute)


def watts_of(device: Device) -> float:
    """Return what a device draws at work; where nobody has told, what is usual for its kind."""
    return device.power_watts or (_GPU_WATTS if device.is_gpu else _CORE_WATTS * max(1, len(device.cores)))


def joined(devices: Sequence[Device]) -> Speed:
    """Return the speed of one engine on the cores of several CPU devices, which go as fast as the slowest of them."""
    cores = [max(1, len(device.cores)) for device in devices]
    speeds = [speed_of(device).times(1 / count) for device, count in zip(devices, cores, strict=True)]
    bandwidth, compute = min(speed.bandwidth for speed in speeds), min(speed.compute for speed in speeds)
    slowest = Speed(bandwidth, compute, overlaps=False)
    return slowest.times(sum(cores) * (JOINED_SHARE if len(devices) > 1 else 1.0))


def in_parts(devices: Sequence[Device], parts: Sequence[float]) -> Speed:
    """Return the speed of GPUs that have ``parts`` (together 1) of every layer: all wait for the last one."""
    speeds = [speed_of(device).times(TENSOR_SHARE) for device in devices]
    used = [(speed, part) for speed, part in zip(speeds, parts, strict=True) if part > 0]
    return Speed(min(speed.bandwidth / part for speed, part in used), min(speed.compute / part for speed, part in used))


class Links:
    """The links between devices, looked up by their ids."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        self._known: dict[frozenset[str], list[Link]] = {}
        for link in links:
            self._known.setdefault(frozenset((link.first, link.second)), []).append(link)

    def border(self, first: Device, second: Device) -> Border:
        """Return the fastest way between two devices; what is not measured is taken as usual for such a link."""
        usual = _BUS if first.kind == second.kind != "cpu" else _LOOPBACK
        ways = [_border(link, usual) for link in self._known.get(frozenset((first.id, second.id)), ())]
        return max(ways, key=lambda border: border.bandwidth, default=usual)


NO_LINKS: Final = Links()


def _border(link: Link, usual: Border) -> Border:
    usual = {"nvlink": _NVLINK, "xgmi": _NVLINK, "network": _NETWORK}.get(link.kind, usual)
    return Border(link.latency or usual.latency, link.bandwidth or usual.bandwidth)
