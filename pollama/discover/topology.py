"""What joins the devices of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

from pollama.discover.amd import amd_peers
from pollama.discover.gpus import Peer, pcie_bandwidth
from pollama.discover.numa import cpu_links, numa_nodes, sockets
from pollama.discover.nvidia import nvidia_peers
from pollama.discover.speeds import SpeedBook
from pollama.types.devices import Device, Link

Links = Callable[[Sequence[Device]], Sequence[Link]]
"""Finds what joins devices. May read files."""


def gpu_peers() -> list[Peer]:
    """Return the ways between GPUs of one vendor, as its library tells."""
    return [*nvidia_peers(), *amd_peers()]


class Topology:
    """Finds the links between devices, with their speeds where ``book`` knows them."""

    def __init__(self, book: SpeedBook | None = None, peers: Callable[[], Sequence[Peer]] = gpu_peers) -> None:
        self._book = book
        self._peers = peers

    def links(self, devices: Sequence[Device]) -> list[Link]:
        """Return a link for each pair of ``devices``. Asks the kernel and, for several GPUs, their driver."""
        gpus = [device for device in devices if device.is_gpu]
        peers = self._peers() if len(gpus) > 1 else ()
        found = [*cpu_links(devices, numa_nodes(), sockets()), *gpu_links(devices, peers)]
        return found if self._book is None else self._book.links(found)


def gpu_links(devices: Sequence[Device], peers: Sequence[Peer]) -> list[Link]:
    """Return the links of GPUs among themselves and to the CPU devices.

    Bandwidths are what the hardware promises. Pairs of GPUs of which nobody tells anything are joined by the memory
    of the machine.
    """
    gpus = [device for device in devices if device.is_gpu]
    cpus = [device for device in devices if not device.is_gpu]
    return [*_between(gpus, peers), *(_to_host(gpu, cpu) for gpu, cpu in product(gpus, cpus))]


def _between(gpus: Sequence[Device], peers: Sequence[Peer]) -> Iterator[Link]:
    told = {frozenset((peer.first, peer.second)): peer for peer in peers}
    for first, second in combinations(gpus, 2):
        peer = told.get(frozenset((first.pci_address, second.pci_address)))
        slots = min(_slot(first), _slot(second))
        if peer is None:
            yield Link(first=first.id, second=second.id, kind="host", bandwidth=slots)
        else:
            promised = peer.bandwidth or (slots if peer.kind == "pcie" else 0.0)
            yield Link(first=first.id, second=second.id, kind=peer.kind, bandwidth=promised)


def _to_host(gpu: Device, cpu: Device) -> Link:
    return Link(first=gpu.id, second=cpu.id, kind="host" if gpu.integrated else "pcie", bandwidth=_slot(gpu))


def _slot(gpu: Device) -> float:
    return pcie_bandwidth(gpu.pcie_generation, gpu.pcie_width)
