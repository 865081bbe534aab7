"""What llama.cpp allocated, read from the lines it logs while it loads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_BUFFER: Final = re.compile(r"(\S+):\s+(\S+)\s+(model|KV|RS|compute|output) buffer size =\s+([\d.]+) MiB")
_OFFLOADED: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_SUFFIX: Final = re.compile(r"_(Mapped|REPACK|Private)$")
_CACHES: Final = frozenset(("KV", "RS"))
_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class DeviceBuffers:
    """Bytes on one device."""

    weights: int = 0
    kv: int = 0
    compute: int = 0


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Buffers by device, and how many layers (the output counts as one) are on GPUs."""

    devices: dict[str, DeviceBuffers] = field(default_factory=dict)
    layers_offloaded: int = 0
    layers_total: int = 0


def read_report(lines: Iterable[str]) -> LoadReport:
    """Return what the log lines of a load tell.

    A line that comes again replaces the earlier one (graphs are reserved twice), but a model with sliding-window layers
    has two caches, whose lines look alike: they add up.
    """
    sizes: dict[tuple[str, str, str], int] = {}
    offloaded = total = 0
    for line in lines:
        if "buffer size" in line and (found := _BUFFER.search(line)):  # one of many lines; the pattern is slow
            component, device, kind, size = found.groups()
            before = sizes.get((component, device, kind), 0) if kind in _CACHES else 0
            sizes[component, device, kind] = before + int(float(size) * _MIB)
        elif found := _OFFLOADED.search(line):
            offloaded, total = int(found[1]), int(found[2])
    return LoadReport(_by_device(sizes), offloaded, total)


def _by_device(sizes: dict[tuple[str, str, str], int]) -> dict[str, DeviceBuffers]:
    devices: dict[str, DeviceBuffers] = {}
    for (_component, backend, kind), size in sizes.items():
        use = devices.setdefault(_SUFFIX.sub("", backend), DeviceBuffers())
        match kind:
            case "model":
                use.weights += size
            case "KV" | "RS":
                use.kv += size
            case _:
                use.compute += size
    return devices
