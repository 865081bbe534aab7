"""NVIDIA GPUs as the driver's management library (NVML) describes them, without touching their memory.

Any of its functions may be missing, unsupported or forbidden on any GPU: then that fact is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any, Final

import pynvml

from pollama.discover.gpus import Gpu, Part, Peer, Sensors, pcie_bandwidth

log = logging.getLogger(__name__)

Query = Callable[..., Any]
"""Calls a function of NVML by its name. Raises NVMLError."""

_LINK_BYTES: Final = {1: 20e9, 2: 25e9, 3: 25e9, 4: 25e9, 5: 50e9}
"""Bytes/s of one NVLink in one direction, by version."""


def _call(name: str, *arguments: Any) -> Any:
    return getattr(pynvml, name)(*arguments)


class _Library:
    """NVML while it is open."""

    def __init__(self, query: Query) -> None:
        self.query = query

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return what a function answers; None where there is no answer."""
        try:
            return self.query(name, *arguments)
        except (pynvml.NVMLError, AttributeError):
            return None

    def handles(self) -> list[Any]:
        """Return the GPUs that answer. One that fell off the bus or that this user may not see is left out."""
        count = self.ask("nvmlDeviceGetCount") or 0
        found = (self.ask("nvmlDeviceGetHandleByIndex", index) for index in range(count))
        return [handle for handle in found if handle is not None and self.address(handle)]

    def address(self, handle: Any) -> str:
        """Return a GPU's PCI address; "" when it does not answer."""
        pci = self.ask("nvmlDeviceGetPciInfo", handle)
        return "" if pci is None else pci_address(_text(pci.busId))


@contextmanager
def _opened(query: Query) -> Iterator[_Library | None]:
    """Lend NVML; None where there is no driver."""
    try:
        query("nvmlInit")
    except pynvml.NVMLError as error:
        log.debug("no NVIDIA driver: %s", error)
        yield None
        return
    try:
        yield _Library(query)
    finally:
        query("nvmlShutdown")


def nvidia_gpus(query: Query = _call) -> list[Gpu]:
    """Return all GPUs as they are now; none where there is no driver."""
    with _opened(query) as library:
        return [] if library is None else [_gpu(library, handle) for handle in library.handles()]


def _gpu(library: _Library, handle: Any) -> Gpu:
    ask = library.ask
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    major, minor = ask("nvmlDeviceGetCudaComputeCapability", handle) or (0, 0)
    return Gpu(
        vendor="nvidia",
        address=library.address(handle),
        name=_text(ask("nvmlDeviceGetName", handle)),
        uuid=_text(ask("nvmlDeviceGetUUID", handle)),
        total_bytes=memory.total if memory else 0,
        free_bytes=memory.free if memory else 0,
        driver=_text(ask("nvmlSystemGetDriverVersion")),
        compute_capability=f"{major}.{minor}" if major else "",
        pcie_generation=ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
        pcie_width=ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
        power_watts=_thousandth(ask("nvmlDeviceGetEnforcedPowerLimit", handle)),
        sensors=_sensors(library, handle),
        parts=tuple(_parts(library, handle)),
    )


def _sensors(library: _Library, handle: Any) -> Sensors:
    ask = library.ask
    rates = ask("nvmlDeviceGetUtilizationRates", handle)
    return Sensors(
        utilisation=rates.gpu if rates else None,
        power=_thousandth(ask("nvmlDeviceGetPowerUsage", handle)),
        temperature=ask("nvmlDeviceGetTemperature", handle, pynvml.NVML_TEMPERATURE_GPU),
        clock=ask("nvmlDeviceGetClockInfo", handle, pynvml.NVML_CLOCK_SM),
        memory_clock=ask("nvmlDeviceGetClockInfo", handle, pynvml.NVML_CLOCK_MEM),
    )


def _parts(library: _Library, handle: Any) -> Iterator[Part]:
    """Yield the MIG instances of a GPU that is divided into them."""
    mode = library.ask("nvmlDeviceGetMigMode", handle)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return
    for index in range(library.ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = library.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        memory = library.ask("nvmlDeviceGetMemoryInfo", part) if part is not None else None
        if memory:
            uuid = _text(library.ask("nvmlDeviceGetUUID", part))
            yield Part(uuid=uuid, total_bytes=memory.total, free_bytes=memory.free)


def nvidia_peers(query: Query = _call) -> list[Peer]:
    """Return how each pair of GPUs is joined."""
    with _opened(query) as library:
        return [] if library is None else [_peer(library, *pair) for pair in combinations(library.handles(), 2)]


def _peer(library: _Library, first: Any, second: Any) -> Peer:
    joined = {"first": library.address(first), "second": library.address(second)}
    links = _links_between(library, first, second)
    if links:
        return Peer(kind="nvlink", bandwidth=sum(links), **joined)
    direct = library.ask("nvmlDeviceGetP2PStatus", first, second, pynvml.NVML_P2P_CAPS_INDEX_WRITE)
    slots = min(_slot_bandwidth(library, first), _slot_bandwidth(library, second))
    return Peer(kind="pcie" if direct == pynvml.NVML_P2P_STATUS_OK else "host", bandwidth=slots, **joined)


def _links_between(library: _Library, first: Any, second: Any) -> list[float]:
    """Return the bytes/s of each NVLink from one GPU to another, over switches too; none when they cannot be used."""
    usable = library.ask("nvmlDeviceGetP2PStatus", first, second, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
    if usable != pynvml.NVML_P2P_STATUS_OK:
        return []
    ends = list(_links(library, first))
    direct = [rate for address, rate in ends if address == library.address(second)]
    return direct or [rate for _, rate in ends]


def _links(library: _Library, handle: Any) -> Iterator[tuple[str, float]]:
    """Yield each active NVLink with the PCI address at its other end and its bytes/s."""
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        state = library.ask("nvmlDeviceGetNvLinkState", handle, link)
        if state is None:
            return
        if state == pynvml.NVML_FEATURE_ENABLED:
            remote = library.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
            version = library.ask("nvmlDeviceGetNvLinkVersion", handle, link)
            yield "" if remote is None else pci_address(_text(remote.busId)), _LINK_BYTES.get(version, 0.0)


def _slot_bandwidth(library: _Library, handle: Any) -> float:
    generation = library.ask("nvmlDeviceGetMaxPcieLinkGeneration", handle)
    return pcie_bandwidth(generation, library.ask("nvmlDeviceGetMaxPcieLinkWidth", handle))


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _text(value: str | bytes | None) -> str:
    """Return NVML's text, which older versions of the binding leave as bytes; "" for none."""
    return value.decode() if isinstance(value, bytes) else value or ""


def pci_address(bus_id: str) -> str:
    """Return NVML's ``00000000:01:00.0`` in the usual form ``0000:01:00.0``, lower case."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"
