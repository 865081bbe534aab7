"""Texts as the kernel gave them on a laptop and on a server with two sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.discover.numa import NumaNode, cache_bytes, cpu_links, node_of, numa_nodes, sockets
from pollama.types.devices import Device, Link
from tests.discover.trees import plant

LAPTOP = {
    "node/node0/cpulist": "0-1",
    "node/node0/distance": "10",
    "node/node0/meminfo": "Node 0 MemTotal:        9267412 kB\nNode 0 MemFree:         4101324 kB",
    "cpu/cpu0/topology/physical_package_id": "0",
    "cpu/cpu1/topology/physical_package_id": "0",
    "cpu/cpufreq/policy0/related_cpus": "0",
}
SERVER = {
    "node/node0/cpulist": "0-1,4-5",
    "node/node0/distance": "10 21 28",
    "node/node0/meminfo": "Node 0 MemTotal:       65536000 kB",
    "node/node1/cpulist": "2-3,6-7",
    "node/node1/distance": "21 10 17",
    "node/node1/meminfo": "Node 1 MemTotal:       66060288 kB",
    "node/node10/cpulist": "",
    "node/node10/distance": "28 17 10",
    "node/node10/meminfo": "Node 10 MemTotal:      131072000 kB",
    **{f"cpu/cpu{core}/topology/physical_package_id": str(core // 2 % 2) for core in range(8)},
}


def machine(root: Path, files: dict[str, str]) -> Path:
    return plant(root, {f"sys/devices/system/{name}": content for name, content in files.items()})


def cpu(*cores: int) -> Device:
    return Device(id=f"cpu:{cores}", kind="cpu", name="", total_bytes=1, free_bytes=1, cores=cores)


def test_one_node(tmp_path: Path) -> None:
    root = machine(tmp_path, LAPTOP)
    assert numa_nodes(root) == [NumaNode(id=0, cores=(0, 1), memory_bytes=9267412 << 10, distances={0: 10})]
    assert sockets(root) == {0: 0, 1: 0}


def test_nodes_are_in_the_order_of_their_numbers_and_may_have_no_cores(tmp_path: Path) -> None:
    nodes = numa_nodes(machine(tmp_path, SERVER))
    assert [(node.id, node.cores) for node in nodes] == [(0, (0, 1, 4, 5)), (1, (2, 3, 6, 7)), (10, ())]
    assert nodes[1].distances == {0: 21, 1: 10, 10: 17}


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    assert numa_nodes(tmp_path) == []
    assert sockets(tmp_path) == {}
    assert cpu_links([cpu(0), cpu(1)], [], {}) == [Link(first=cpu(0).id, second=cpu(1).id, kind="package")]


def test_odd_texts_are_no_facts(tmp_path: Path) -> None:
    odd = {"node/node0/cpulist": "?", "node/node0/distance": "near", "cpu/cpu0/topology/physical_package_id": "x"}
    root = machine(tmp_path, odd)
    assert numa_nodes(root) == [NumaNode(id=0, cores=(), memory_bytes=0, distances={})]
    assert sockets(root) == {}


@pytest.mark.parametrize(
    ("first", "second", "kind", "distance"),
    [((0,), (1,), "package", 10), ((0, 1), (2, 3), "numa", 21), ((0, 2), (1,), "numa", 21)],
)
def test_links_between_partitions(
    tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...], kind: str, distance: int
) -> None:
    root = machine(tmp_path, SERVER)
    (link,) = cpu_links([cpu(*first), cpu(*second)], numa_nodes(root), sockets(root))
    assert (link.kind, link.distance) == (kind, distance)


def test_gpus_have_no_known_links(tmp_path: Path) -> None:
    gpu = Device(id="g", kind="cuda", name="", total_bytes=1, free_bytes=1)
    root = machine(tmp_path, LAPTOP)
    assert cpu_links([gpu, cpu(0)], numa_nodes(root), sockets(root)) == []


def caches(core: int, shared: str, last: str) -> dict[str, str]:
    """Caches of a core as on a processor with a level of its own and one that others share."""
    return {
        f"cpu/cpu{core}/cache/index0/level": "1",
        f"cpu/cpu{core}/cache/index0/size": "48K",
        f"cpu/cpu{core}/cache/index2/level": "2",
        f"cpu/cpu{core}/cache/index2/size": "1280K",
        f"cpu/cpu{core}/cache/index2/shared_cpu_list": str(core),
        f"cpu/cpu{core}/cache/index3/level": "3",
        f"cpu/cpu{core}/cache/index3/size": last,
        f"cpu/cpu{core}/cache/index3/shared_cpu_list": shared,
    }


def test_shared_caches_count_once(tmp_path: Path) -> None:
    files = caches(0, "0-1", "49152K") | caches(1, "0-1", "49152K") | caches(2, "2", "32768K")
    root = machine(tmp_path, files)
    assert [cache_bytes(cores, root) for cores in ((0,), (0, 1), (0, 1, 2))] == [48 << 20, 48 << 20, 80 << 20]


@pytest.mark.parametrize("size", ["", "big", "-1"])
def test_caches_that_are_not_told(tmp_path: Path, size: str) -> None:
    assert cache_bytes((0,), machine(tmp_path, caches(0, "0", size))) is None
    assert cache_bytes((7,), tmp_path) is None


def test_the_node_of_cores(tmp_path: Path) -> None:
    nodes = numa_nodes(machine(tmp_path, SERVER))
    assert [node_of(cores, nodes) for cores in ((0, 5), (2,), (0, 2), (9,))] == [0, 1, None, None]
