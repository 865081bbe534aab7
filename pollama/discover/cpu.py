"""The CPU as a device: the cores and the memory that this process may use."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import psutil

from pollama.discover.numa import cache_bytes, node_of, numa_nodes
from pollama.discover.telemetry import cpu_power_limit
from pollama.errors import ConfigError
from pollama.types.cores import CpuPartition, core_ranges
from pollama.types.devices import Device

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What control groups allow; None = no limit. ``cpus`` is a number of cores, fractions included."""

    cpus: float | None = None
    memory_bytes: int | None = None
    available_bytes: int | None = None


def cpu_device(root: Path = Path("/")) -> Device:
    """Return one device with all cores that this process may run on; ``root`` is where ``proc`` and ``sys`` lie."""
    limits = cgroup_limits(root)
    memory = psutil.virtual_memory()
    available = memory.available if limits.available_bytes is None else limits.available_bytes
    plain = Device(
        id="",
        kind="cpu",
        name=_name(root),
        total_bytes=min(memory.total, limits.memory_bytes or memory.total),
        free_bytes=min(memory.available, available),
    )
    return _on(plain, allowed_cores(limits), root)


def cpu_devices(partitions: Sequence[CpuPartition], root: Path = Path("/"), *, by_node: bool = False) -> list[Device]:
    """Return one device per partition; where there are none one with all cores or, ``by_node``, one per memory node.

    All of them live in the memory of the machine: its size and what is free of it is the same for each. A partition's
    own limit comes on top.
    """
    whole = cpu_device(root)
    parts = partitions or (_nodes(whole.cores, root) if by_node else ())
    return [_part(whole, partition, root) for partition in parts] or [whole]


def _nodes(cores: Sequence[int], root: Path) -> list[CpuPartition]:
    """Return ``cores`` divided by the memory next to them; nothing when all have the same."""
    by_node = (tuple(sorted(set(cores) & set(node.cores))) for node in numa_nodes(root))
    found = [CpuPartition(cores=own) for own in by_node if own]
    return found if len(found) > 1 else []


def _part(whole: Device, partition: CpuPartition, root: Path) -> Device:
    named = replace(
        whole, name=f"{whole.name} (cores {core_ranges(partition.cores)})", limit_bytes=partition.memory_bytes
    )
    return _on(named, partition.cores, root)


def _on(device: Device, cores: tuple[int, ...], root: Path) -> Device:
    """Return ``device`` with ``cores``, and what the kernel knows of those."""
    return replace(
        device,
        id=f"cpu:{core_ranges(cores)}",
        cores=cores,
        numa_node=node_of(cores, numa_nodes(root)),
        cache_bytes=cache_bytes(cores, root),
        power_watts=cpu_power_limit(cores, root),
    )


def check_cores(partitions: Sequence[CpuPartition], allowed: Sequence[int], key: str) -> None:
    """Raise ConfigError, which begins with ``key``, for a core that this process may not run on."""
    for index, partition in enumerate(partitions):
        unknown = set(partition.cores).difference(allowed)
        if unknown:
            raise ConfigError(
                f"{key}[{index}].cores: there is no core {min(unknown)} for this process, only {core_ranges(allowed)}"
            )


def allowed_cores(limits: Limits) -> tuple[int, ...]:
    """Return the cores of this process's affinity mask, the first ones when a quota allows fewer."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    count = len(allowed) if limits.cpus is None else max(1, math.ceil(limits.cpus))
    return tuple(sorted(allowed)[:count])


def cgroup_limits(root: Path = Path("/")) -> Limits:
    """Return the tightest limits of this process's control group (version 2) and of all groups above it."""
    found = [_group_limits(group) for group in _groups(root)]
    return Limits(
        cpus=_smallest(limits.cpus for limits in found),
        memory_bytes=_smallest(limits.memory_bytes for limits in found),
        available_bytes=_smallest(limits.available_bytes for limits in found),
    )


def _groups(root: Path) -> Iterator[Path]:
    top = root / "sys/fs/cgroup"
    entries = (_read(root / "proc/self/cgroup") or "").splitlines()
    path = next((entry.removeprefix("0::") for entry in entries if entry.startswith("0::")), "/")
    group = top / path.strip("/")
    yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _group_limits(group: Path) -> Limits:
    quota, _, period = (_read(group / "cpu.max") or "max").partition(" ")
    cpus = int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None
    limit, current = _read(group / "memory.max"), _read(group / "memory.current")
    if limit is None or not limit.isdecimal():
        return Limits(cpus=cpus)
    used = max(0, int(current or "0") - _reclaimable(group))
    return Limits(cpus=cpus, memory_bytes=int(limit), available_bytes=max(0, int(limit) - used))


def _reclaimable(group: Path) -> int:
    """Return the bytes of cached file pages, which the kernel gives back before it refuses memory."""
    lines = (line.split() for line in (_read(group / "memory.stat") or "").splitlines())
    return next((int(count) for name, count in lines if name == "inactive_file"), 0)


def _smallest(values: Iterator[N | None]) -> N | None:
    return min((value for value in values if value is not None), default=None)


def _name(root: Path) -> str:
    lines = (line.partition(":") for line in (_read(root / "proc/cpuinfo") or "").splitlines())
    return next((text.strip() for key, _, text in lines if key.strip() == "model name"), platform.processor() or "CPU")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
