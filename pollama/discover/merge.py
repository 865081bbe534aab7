"""One list of GPUs from what the engine can use and what vendors and the kernel know of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from pollama.discover.ggml import EngineDevice
from pollama.discover.gpus import Gpu, Part
from pollama.types.devices import Device, DeviceKind, Vendor

_KINDS: Final[dict[str, DeviceKind]] = {
    "CUDA": "cuda",
    "ROCm": "rocm",
    "HIP": "rocm",
    "MTL": "metal",
    "Metal": "metal",
    "Vulkan": "vulkan",
    "SYCL": "sycl",
}
"""ggml's backend names."""

_VENDORS: Final[dict[DeviceKind, Vendor]] = {"cuda": "nvidia", "rocm": "amd", "metal": "apple", "sycl": "intel"}
_NAMES: Final[dict[str, Vendor]] = {
    "nvidia": "nvidia", "amd": "amd", "radeon": "amd", "intel": "intel", "apple": "apple",
}  # fmt: skip

_SIMILAR: Final = 0.05
"""Two readings of one GPU's memory differ by less than this share."""


def merge(engine: Sequence[EngineDevice], known: Sequence[Gpu]) -> list[Device]:
    """Return each GPU of the engine once, with what is ``known`` of it."""
    taken: set[str] = set()
    found = []
    for device in _without_duplicates([device for device in engine if device.backend in _KINDS]):
        found.append(_device(device, _match(device, known), taken))
        taken.add(found[-1].id)
    return found


def _match(device: EngineDevice, known: Sequence[Gpu]) -> Gpu | None:
    """Return what is known of a device: by PCI address, or by its vendor where GPUs have no slots."""
    if device.hardware_id:
        return next((gpu for gpu in known if gpu.address == device.hardware_id), None)
    if _KINDS[device.backend] == "metal":
        return next((gpu for gpu in known if gpu.vendor == "apple"), None)
    return None


def _device(device: EngineDevice, gpu: Gpu | None, taken: Collection[str]) -> Device:
    kind = _KINDS[device.backend]
    plain = Device(
        id=device.hardware_id or device.name,
        kind=kind,
        name=device.description,
        total_bytes=device.total_bytes,
        free_bytes=device.free_bytes,
        engine_name=device.name,
        integrated=device.kind == "igpu",
        vendor=_VENDORS.get(kind) or _named_vendor(device.description),
        pci_address=device.hardware_id,
    )
    return plain if gpu is None else _with_memory(_with_facts(plain, gpu), gpu, taken)


def _named_vendor(name: str) -> Vendor | None:
    return next((vendor for word, vendor in _NAMES.items() if word in name.casefold()), None)


def _with_facts(device: Device, gpu: Gpu) -> Device:
    return replace(
        device,
        vendor=gpu.vendor,
        uuid=gpu.uuid,
        driver=gpu.driver,
        compute_capability=gpu.compute_capability if device.kind == "cuda" else "",
        pcie_generation=gpu.pcie_generation,
        pcie_width=gpu.pcie_width,
        numa_node=gpu.numa_node,
        power_watts=gpu.power_watts,
    )


def _with_memory(device: Device, gpu: Gpu, taken: Collection[str]) -> Device:
    """Return ``device`` with the free memory that the vendor tells, and the identity that goes with it.

    A part of a GPU (MIG) has the address of the whole one: the vendor's word counts where the sizes agree, for each
    part once.
    """
    whole = Part(uuid=gpu.uuid, total_bytes=gpu.total_bytes, free_bytes=gpu.free_bytes)
    for part in (whole, *gpu.parts):
        if _similar(part.total_bytes, device.total_bytes) and part.uuid not in taken:
            return replace(_identified(device, part.uuid), free_bytes=min(part.free_bytes, device.total_bytes))
    return _identified(device, f"{gpu.uuid}/{device.engine_name}" if gpu.total_bytes and gpu.uuid else gpu.uuid)


def _identified(device: Device, uuid: str) -> Device:
    """Return ``device`` under its UUID where NVIDIA's driver gives it one; others go by their PCI address."""
    return replace(device, id=uuid, uuid=uuid) if uuid and device.vendor == "nvidia" else device


def _similar(first: int, second: int) -> bool:
    return abs(first - second) <= _SIMILAR * max(first, second)


def _without_duplicates(devices: Sequence[EngineDevice]) -> list[EngineDevice]:
    """Drop Vulkan's view of a GPU that a backend of its vendor serves as well."""
    native = [device for device in devices if _KINDS[device.backend] != "vulkan"]
    return [device for device in devices if device in native or not any(_same(device, other) for other in native)]


def _same(first: EngineDevice, second: EngineDevice) -> bool:
    if first.hardware_id and second.hardware_id:
        return first.hardware_id == second.hardware_id
    return _model(first) == _model(second) and _similar(first.total_bytes, second.total_bytes)


def _model(device: EngineDevice) -> str:
    """Return what a GPU is called, without the driver that Vulkan adds in brackets."""
    return device.description.casefold().split("(")[0].strip()
