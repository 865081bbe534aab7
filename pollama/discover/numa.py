"""Memory nodes, sockets and caches of this machine, as the kernel describes them below ``/sys/devices/system``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from pollama.discover.files import text, whole
from pollama.types.cores import parse_cores
from pollama.types.devices import Device, Link

_SYSTEM: Final = "sys/devices/system"
_OWN: Final = 10
"""The kernel's distance of a node to itself."""

_TOTAL: Final = re.compile(r"MemTotal:\s*([0-9]+) kB")
_CACHE: Final = re.compile("([0-9]+)K")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """Cores and the memory next to them, in bytes.

    ``distances`` are the kernel's relative costs of memory on each node, by node (10 = its own).
    """

    id: int
    cores: tuple[int, ...]
    memory_bytes: int
    distances: Mapping[int, int]


def numa_nodes(root: Path = Path("/")) -> list[NumaNode]:
    """Return the nodes by number; none where the kernel does not tell."""
    folders = (root / _SYSTEM / "node").glob("node[0-9]*")
    numbered = sorted((int(folder.name.removeprefix("node")), folder) for folder in folders)
    ids = [number for number, _ in numbered]
    return [_node(number, folder, ids) for number, folder in numbered]


def _node(number: int, folder: Path, ids: Sequence[int]) -> NumaNode:
    total = _TOTAL.search(text(folder / "meminfo"))
    costs = [int(word) for word in text(folder / "distance").split() if word.isdecimal()]
    return NumaNode(
        id=number,
        cores=_cores(folder / "cpulist"),
        memory_bytes=int(total[1]) << 10 if total else 0,
        distances=dict(zip(ids, costs, strict=False)),
    )


def sockets(root: Path = Path("/")) -> dict[int, int]:
    """Return the socket of each core; cores of which the kernel says nothing are left out."""
    files = (root / _SYSTEM / "cpu").glob("cpu[0-9]*/topology/physical_package_id")
    found = {int(file.parent.parent.name.removeprefix("cpu")): text(file) for file in files}
    return {core: int(told) for core, told in sorted(found.items()) if re.fullmatch("-?[0-9]+", told)}


def cache_bytes(cores: Sequence[int], root: Path = Path("/")) -> int | None:
    """Return the size of the last-level caches that ``cores`` have; None where the kernel does not tell."""
    caches = dict(found for core in cores if (found := _last_cache(root / _SYSTEM / f"cpu/cpu{core}/cache")))
    return sum(caches.values()) or None


def _last_cache(folder: Path) -> tuple[str, int] | None:
    """Return the cores that share a core's last cache, as the kernel writes them, and its size in bytes."""
    levels = [(whole(index / "level") or 0, index) for index in folder.glob("index[0-9]*")]
    if not levels:
        return None
    _, last = max(levels)
    size = _CACHE.fullmatch(text(last / "size"))
    return (text(last / "shared_cpu_list"), int(size[1]) << 10) if size else None


def node_of(cores: Sequence[int], nodes: Sequence[NumaNode]) -> int | None:
    """Return the node that has all of ``cores``; None when they are on several or nobody tells."""
    return next((node.id for node in nodes if set(cores) <= set(node.cores)), None)


def cpu_links(devices: Sequence[Device], nodes: Sequence[NumaNode], socket_of: Mapping[int, int]) -> list[Link]:
    """Return how each pair of CPU devices is joined: on one socket, or by the way between their nodes or sockets."""
    cpus = [device for device in devices if not device.is_gpu]
    return list(_links(cpus, nodes, socket_of))


def _links(cpus: Sequence[Device], nodes: Sequence[NumaNode], socket_of: Mapping[int, int]) -> Iterator[Link]:
    for first, second in combinations(cpus, 2):
        distance = max((_distance(one, other) for one in _of(first, nodes) for other in _of(second, nodes)), default=0)
        joint = {socket_of.get(core, 0) for core in (*first.cores, *second.cores)}
        apart = distance > _OWN or len(joint) > 1
        yield Link(first=first.id, second=second.id, kind="numa" if apart else "package", distance=distance)


def _of(device: Device, nodes: Sequence[NumaNode]) -> list[NumaNode]:
    return [node for node in nodes if set(node.cores) & set(device.cores)]


def _distance(one: NumaNode, other: NumaNode) -> int:
    return one.distances.get(other.id, 0)


def _cores(file: Path) -> tuple[int, ...]:
    """Return the cores of a node; none for memory without cores."""
    try:
        return parse_cores(text(file))
    except ValueError:
        return ()
