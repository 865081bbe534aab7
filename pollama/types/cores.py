"""Sets of CPU cores, in the kernel's list format (``0-3,8``), and partitions of a machine into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from pollama.errors import ConfigError

_RANGE: Final = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?i?B)?")
_UNITS: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_KEYS: Final = {"cores", "memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuPartition:
    """Cores that are one device, ascending, and the bytes that models may take on it (None = all of the machine)."""

    cores: tuple[int, ...]
    memory_bytes: int | None = None


def parse_cores(text: str) -> tuple[int, ...]:
    """Return the ascending cores of a list such as ``0-3,8``. Raises ValueError."""
    return tuple(sorted(set(chain.from_iterable(_range(part.strip()) for part in text.split(",")))))


def _range(text: str) -> range:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError("not a list of cores")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError("a range of cores that runs backwards")
    return range(first, last + 1)


def core_ranges(cores: Sequence[int]) -> str:
    """Return ascending core numbers in the kernel's list format: ``0-3,8``."""
    runs: list[list[int]] = []
    for core in cores:
        if runs and runs[-1][1] == core - 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``2GiB`` or ``1.5 GB``; a bare number is bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[2] or "B") not in _UNITS:
        raise ValueError("not a size")
    return int(float(match[1]) * _UNITS[match[2] or "B"])


def parse_partitions(items: Sequence[object]) -> tuple[CpuPartition, ...]:
    """Return the partitions that a list of mappings with ``cores`` and ``memory`` describes.

    Raises ConfigError whose text begins with the place inside the list: ``[1].cores: ...``.
    """
    partitions = tuple(_partition(f"[{index}]", item) for index, item in enumerate(items))
    owners: dict[int, int] = {}
    for index, partition in enumerate(partitions):
        for core in partition.cores:
            if owners.setdefault(core, index) != index:
                raise ConfigError(f"[{index}].cores: core {core} belongs to [{owners[core]}] already")
    return partitions


def _partition(place: str, item: object) -> CpuPartition:
    if not isinstance(item, dict):
        raise ConfigError(f"{place} must be a mapping with cores and memory, not {item!r}")
    unknown = [key for key in item if key not in _KEYS]
    if unknown:
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}")
    return CpuPartition(cores=_cores(place, item.get("cores")), memory_bytes=_memory(place, item.get("memory")))


def _cores(place: str, value: object) -> tuple[int, ...]:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        if not isinstance(text, str):
            raise TypeError
        return parse_cores(text)
    except (ValueError, TypeError):
        raise ConfigError(f"{place}.cores must be a list of cores such as 0-3,8, not {value!r}") from None


def _memory(place: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise TypeError
        size = parse_size(str(value))
    except (ValueError, TypeError):
        size = 0
    if size == 0:
        raise ConfigError(f"{place}.memory must be a size such as 2GiB, not {value!r}")
    return size
