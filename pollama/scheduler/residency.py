"""What is in memory: bytes that are free on the devices, who may leave first, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace

from pollama.scheduler.corrections import Known
from pollama.scheduler.fitting import Space
from pollama.scheduler.policy import Policy
from pollama.scheduler.speeds import Links
from pollama.scheduler.state import Replica
from pollama.types.devices import Device, Link
from pollama.types.generation import BufferUse
from pollama.types.plans import Plan


class Memory:
    """The last reading of the devices, brought forward by the plans that came and went since.

    What other programs use is what was in use at the reading beyond the plans of the replicas that were ready.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.devices: tuple[Device, ...] = ()
        self.known = Known()
        self._ours: dict[str, int] = {}

    def read(self, devices: Sequence[Device], replicas: Iterable[Replica], links: Iterable[Link] = ()) -> None:
        """Take a new reading; ready ``replicas`` are contained in what it says is used.

        While one of them comes or goes, nobody knows how much of its plan the reading contains: what was free on a
        known device stands, so that no memory is counted twice.
        """
        replicas = list(replicas)
        at_rest = all(replica.state == "ready" for replica in replicas)
        known = {} if at_rest else {device.id: device.free_bytes for device in self.devices}
        ours = planned_bytes(replica.plan for replica in replicas if replica.state == "ready")
        self.known = replace(self.known, links=Links(links))
        self.devices = tuple(replace(device, free_bytes=known.get(device.id, device.free_bytes)) for device in devices)
        self._ours = {**ours, **{device: self._ours.get(device, 0) for device in known}}

    def after(self, devices: Sequence[Device], replicas: Iterable[Replica], links: Iterable[Link]) -> Memory:
        """Return this memory with a new reading, and leave this one as it is."""
        memory = copy(self)
        memory.read(devices, replicas, links)
        return memory

    def spaces(self, plans: Iterable[Plan]) -> list[Space]:
        """Return what is free on every device beside ``plans``, and how many of them have blocks there."""
        plans = list(plans)
        taken, holders = planned_bytes(plans), Counter(device for plan in plans for device in holding_devices(plan))
        on_host = self._on_host(taken)
        return [
            Space(
                device,
                self._free(device, taken.get(device.id, 0), on_host),
                holders[device.id],
                None if device.is_gpu else self._on_machine(device, on_host),
            )
            for device in self.devices
        ]

    def use(self, replica: Replica) -> tuple[int, int]:
        """Return a replica's bytes in all and on GPUs: as the engine reports them, else as planned.

        As in Ollama, a model whose layers are all offloaded counts as a whole on the GPU.
        """
        info = replica.info
        if info is None or not info.buffers:
            gpus = {device.id for device in self.devices if device.is_gpu}
            shares = replica.plan.shares
            return replica.plan.total_bytes, sum(share.total_bytes for share in shares if share.device in gpus)
        total = sum(map(_buffer_bytes, info.buffers))
        if 0 < info.layers_total <= info.layers_offloaded:
            return total, total
        return total, sum(_buffer_bytes(buffer) for buffer in info.buffers if not _is_host_buffer(buffer.device))

    def _free(self, device: Device, taken: int, on_host: int) -> int:
        """Return what is free on a device of which plans have ``taken`` bytes, and ``on_host`` on all CPU devices.

        CPU devices live in one memory: what is on one of them is missing on the others.
        """
        if device.is_gpu:
            free = min(device.free_bytes, self._host_free()) if device.integrated else device.free_bytes
            margin = self._policy.gpu_overhead + self._policy.gpu_margin
            return min(device.capacity_bytes, free + self._ours.get(device.id, 0)) - margin - taken
        shared = self._on_machine(device, on_host)
        return shared if device.limit_bytes is None else min(shared, device.limit_bytes - taken)

    def _on_machine(self, device: Device, on_host: int) -> int:
        """Return what is free of the memory in which a CPU device lies, beside ``on_host`` bytes of plans."""
        return (
            min(device.total_bytes, device.free_bytes + self._on_host(self._ours)) - self._policy.host_margin - on_host
        )

    def _on_host(self, taken: Mapping[str, int]) -> int:
        return sum(taken.get(device.id, 0) for device in self.devices if not device.is_gpu)

    def _host_free(self) -> int:
        """Return the free memory of the machine, which integrated GPUs live in."""
        return max((device.free_bytes for device in self.devices if not device.is_gpu), default=0)


def planned_bytes(plans: Iterable[Plan]) -> dict[str, int]:
    """Return the bytes of ``plans`` by device."""
    taken: dict[str, int] = {}
    for plan in plans:
        for share in plan.shares:
            taken[share.device] = taken.get(share.device, 0) + share.total_bytes
    return taken


def holding_devices(plan: Plan) -> list[str]:
    """Return the ids of the devices that hold blocks of ``plan``."""
    return [share.device for share in plan.shares if share.layers]


def departure_order(replicas: Iterable[Replica]) -> list[Replica]:
    """Return who leaves first when room is needed: idle before busy, least recently used first."""
    return sorted(replicas, key=lambda replica: (not replica.is_idle, replica.last_used, replica.id))


def _buffer_bytes(buffer: BufferUse) -> int:
    return buffer.weights + buffer.kv + buffer.compute


def _is_host_buffer(name: str) -> bool:
    """Tell ggml's buffers in the memory of the machine from those on a GPU."""
    return name.startswith(("CPU", "BLAS")) or name.endswith("_Host") or not name


def set_deadline(replica: Replica, now: float, at_most: float = float("inf")) -> None:
    """Start the keep-alive of a replica that has become idle; it ends ``at_most`` so many seconds from now."""
    replica.last_used = now
    replica.expires_at = now + min(replica.keep_alive, at_most)


def change_keep_alive(replica: Replica, seconds: float, at_most: float = float("inf")) -> None:
    """Set how long a replica outlives its last use; one that is idle already is measured by it at once.

    It is not kept longer than ``at_most`` seconds, whatever its keep-alive.
    """
    replica.keep_alive = seconds
    if replica.is_idle and replica.expires_at is not None:
        replica.expires_at = replica.last_used + min(seconds, at_most)


def has_expired(replica: Replica, now: float) -> bool:
    """Tell whether an idle replica has outstayed its keep-alive."""
    return replica.is_idle and replica.expires_at is not None and replica.expires_at <= now


def next_deadline(replicas: Iterable[Replica]) -> float:
    """Return when the next idle replica expires; infinity when none does."""
    deadlines = (replica.expires_at for replica in replicas if replica.is_idle and replica.expires_at is not None)
    return min(deadlines, default=float("inf"))
