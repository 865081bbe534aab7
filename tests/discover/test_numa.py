"""Texts as the kernel gave them on a laptop and on a server with two sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.discover.numa import NumaNode, cpu_links, numa_nodes, sockets
from pollama.types.devices import Device, Link

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
    for name, text in files.items():
        path = root / "sys/devices/system" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


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
