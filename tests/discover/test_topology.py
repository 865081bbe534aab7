from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pollama.discover.gpus import Peer
from pollama.discover.speeds import SpeedBook
from pollama.discover.topology import Topology, gpu_links
from pollama.types.devices import Device, Link


def gpu(slot: int, generation: int, width: int) -> Device:
    return Device(
        id=f"g{slot}", kind="cuda", name="", total_bytes=1, free_bytes=1, pci_address=f"0000:0{slot}:00.0",
        pcie_generation=generation, pcie_width=width,
    )  # fmt: skip


FAST, SLOW = gpu(1, 4, 16), gpu(2, 3, 4)
CPU = Device(id="cpu:0", kind="cpu", name="", total_bytes=1, free_bytes=1, cores=(0,))


def test_gpus_are_joined_as_their_driver_tells() -> None:
    peer = Peer(first=SLOW.pci_address, second=FAST.pci_address, kind="nvlink", bandwidth=100e9)
    assert gpu_links([FAST, SLOW], [peer]) == [Link(first="g1", second="g2", kind="nvlink", bandwidth=100e9)]


def test_a_direct_way_over_slots_is_as_wide_as_the_narrower_one() -> None:
    peer = Peer(first=FAST.pci_address, second=SLOW.pci_address, kind="pcie")
    assert gpu_links([FAST, SLOW], [peer]) == [Link(first="g1", second="g2", kind="pcie", bandwidth=0.985e9 * 4)]
    assert gpu_links([FAST, SLOW], [replace(peer, kind="xgmi")])[0].bandwidth == 0


def test_other_gpus_meet_in_the_memory_of_the_machine() -> None:
    assert gpu_links([FAST, SLOW], []) == [Link(first="g1", second="g2", kind="host", bandwidth=0.985e9 * 4)]
    assert gpu_links([FAST, replace(SLOW, pcie_width=None)], [])[0].bandwidth == 0


def test_every_gpu_has_a_way_to_the_cpu() -> None:
    links = gpu_links([FAST, CPU, replace(SLOW, integrated=True)], [])
    assert links[1:] == [
        Link(first="g1", second="cpu:0", kind="pcie", bandwidth=1.969e9 * 16),
        Link(first="g2", second="cpu:0", kind="host", bandwidth=0.985e9 * 4),
    ]


async def test_measured_links_beat_promised_ones(tmp_path: Path) -> None:
    book = SpeedBook(tmp_path / "speed.json", "1")
    topology = Topology(book, peers=list)
    (link,) = topology.links([FAST, CPU])
    await book.record_link(link, 24e9, 9e-6)
    assert topology.links([FAST, CPU]) == [replace(link, bandwidth=24e9, latency=9e-6)]


def test_drivers_are_asked_for_several_gpus_only() -> None:
    asked: list[int] = []

    def peers() -> list[Peer]:
        asked.append(1)
        return []

    topology = Topology(peers=peers)
    topology.links([FAST, CPU])
    assert asked == []
    topology.links([FAST, SLOW])
    assert asked == [1]
