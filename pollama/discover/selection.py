"""Which GPUs the settings let pollama use, and how much of their memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pollama.config import Config
from pollama.types.devices import Device, Vendor

log = logging.getLogger(__name__)

_ORDER: tuple[Vendor, ...] = ("nvidia", "amd", "intel")
"""In which GPUs are counted when they are counted through."""


def select(gpus: Sequence[Device], config: Config) -> list[Device]:
    """Return the GPUs that may be used."""
    chosen = _chosen(gpus, config)
    return [gpu for gpu in gpus if gpu.id in chosen and _allowed(gpu, config)]


def limited(device: Device, config: Config) -> Device:
    """Return ``device`` with the memory limit that the settings give it by its id or its name."""
    limits = [config.device_limits[key] for key in (device.id, device.name) if key in config.device_limits]
    known = [*limits, *([] if device.limit_bytes is None else [device.limit_bytes])]
    return replace(device, limit_bytes=min(known)) if limits else device


def _chosen(gpus: Sequence[Device], config: Config) -> set[str]:
    """Return the ids of the GPUs that the lists of numbers leave.

    A number is a position among the GPUs of its vendor in the order of their PCI addresses. A list with a number for
    which there are too few is understood to count through all vendors: NVIDIA, AMD, Intel.
    """
    lists = {"nvidia": config.cuda_gpus, "amd": config.rocm_gpus, "intel": config.intel_gpus}
    ordered = {vendor: _in_order(gpus, vendor) for vendor in _ORDER}
    through = [id_ for vendor in _ORDER for id_ in ordered[vendor]]
    chosen = {gpu.id for gpu in gpus if lists.get(gpu.vendor or "") is None}
    for vendor in _ORDER:
        numbers = lists[vendor] or ()
        counted = ordered[vendor] if all(number < len(ordered[vendor]) for number in numbers) else through
        named = {counted[number] for number in numbers if number < len(counted)}
        chosen |= named & set(ordered[vendor])
    return chosen


def _in_order(gpus: Sequence[Device], vendor: Vendor) -> list[str]:
    own = sorted((gpu for gpu in gpus if gpu.vendor == vendor), key=lambda gpu: (gpu.pci_address, gpu.engine_name))
    return [gpu.id for gpu in own]


def log_unknown_numbers(gpus: Sequence[Device], config: Config) -> None:
    """Warn of lists that select no GPU although they name some."""
    chosen = _chosen(gpus, config)
    for variable, vendor, numbers in (
        ("OLLAMA_CUDA_GPUS", "nvidia", config.cuda_gpus),
        ("OLLAMA_ROCM_GPUS", "amd", config.rocm_gpus),
        ("OLLAMA_INTEL_GPUS", "intel", config.intel_gpus),
    ):
        own = [gpu for gpu in gpus if gpu.vendor == vendor]
        if numbers and len(chosen & {gpu.id for gpu in own}) < len(set(numbers)):
            log.warning("%s=%s: there are %d such GPUs", variable, ",".join(map(str, numbers)), len(own))


def _allowed(gpu: Device, config: Config) -> bool:
    if gpu.kind == "vulkan" and config.vulkan is False:
        return False
    if config.llm_library and not config.llm_library.startswith(gpu.kind):
        return False
    if not gpu.integrated or gpu.kind == "metal":
        return True
    if config.igpu_enable is not None:
        return config.igpu_enable
    # Unified memory of a CUDA system is as good as a card's; of the others only one is known to be worth it.
    return gpu.kind == "cuda" or (gpu.kind == "rocm" and "gfx1151" in gpu.name)


def log_dropped(gpus: Sequence[Device], config: Config) -> None:
    """Say which integrated GPUs are left out, and how to have them."""
    for gpu in gpus:
        if gpu.integrated and config.igpu_enable is None and not _allowed(gpu, config):
            log.info("dropping integrated GPU %s; to enable, set OLLAMA_IGPU_ENABLE=1", gpu.name)
