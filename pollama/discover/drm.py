"""AMD's and Intel's GPUs as the kernel's drivers (amdgpu, i915, xe) describe them below ``/sys/class/drm``.

The files are described in the kernel's documentation: GPU/amdgpu (thermal, driver-misc) and
ABI/testing/sysfs-driver-intel-{i915,xe}-hwmon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pollama.discover.files import number, text, whole
from pollama.discover.gpus import Gpu, Sensors, pcie_generation
from pollama.types.devices import Vendor

_CARD: Final = re.compile("card[0-9]+")
_SLOT: Final = re.compile("^PCI_SLOT_NAME=(.+)$", re.MULTILINE)
_DRIVER: Final = re.compile("^DRIVER=(.+)$", re.MULTILINE)
_VENDORS: Final[dict[str, Vendor]] = {"0x1002": "amd", "0x8086": "intel"}

_MICRO: Final = 1e6
_MILLI: Final = 1e3


def drm_gpus(root: Path = Path("/")) -> list[Gpu]:
    """Return AMD's and Intel's GPUs in the order of their PCI addresses."""
    cards = (card for card in (root / "sys/class/drm").glob("card*") if _CARD.fullmatch(card.name))
    found = (_gpu(card) for card in cards)
    return sorted((gpu for gpu in found if gpu is not None), key=lambda gpu: gpu.address)


def _gpu(card: Path) -> Gpu | None:
    """Return the GPU of a card; None for other vendors' and for one outside a PCI slot."""
    device = card / "device"
    vendor = _VENDORS.get(text(device / "vendor"))
    event = text(device / "uevent")
    slot = _SLOT.search(event)
    if vendor is None or slot is None:
        return None
    total = whole(device / "mem_info_vram_total") or 0
    driver = _DRIVER.search(event)
    return Gpu(
        vendor=vendor,
        address=slot[1].strip().lower(),
        name=text(device / "product_name"),
        uuid=text(device / "unique_id"),
        total_bytes=total,
        free_bytes=max(0, total - (whole(device / "mem_info_vram_used") or 0)),
        driver=driver[1].strip() if driver else "",
        pcie_generation=_generation(device),
        pcie_width=whole(device / "max_link_width") or None,
        power_watts=_power_limit(device),
        sensors=_sensors(card),
        energy_joules=_first(number(path, _MICRO) for path in _monitors(device, "energy1_input")),
    )


def _generation(device: Path) -> int | None:
    """Return the generation of a slot that says ``16.0 GT/s PCIe``."""
    rate, _, unit = text(device / "max_link_speed").partition(" ")
    try:
        return pcie_generation(float(rate)) if unit.startswith("GT/s") else None
    except ValueError:
        return None


def _sensors(card: Path) -> Sensors:
    device = card / "device"
    clocks = (number(device / "tile0/gt0/freq0/act_freq"), number(card / "gt_act_freq_mhz"))
    return Sensors(
        utilisation=number(device / "gpu_busy_percent"),
        power=_sensor(device, _MICRO, "power1_average", "power1_input"),
        temperature=_sensor(device, _MILLI, "temp1_input", "temp2_input"),
        clock=_first(iter((*clocks, _sensor(device, _MICRO, "freq1_input")))),
        memory_clock=_sensor(device, _MICRO, "freq2_input"),
    )


def _power_limit(device: Path) -> float | None:
    """Return the limit in watts: of several that are set the first; 0 stands for one that is not."""
    limits = (_sensor(device, _MICRO, name) for name in ("power1_cap", "power1_max", "power1_rated_max"))
    return next(filter(None, limits), None)


def _sensor(device: Path, scale: float, *names: str) -> float | None:
    """Return the first of several files of the card's hardware monitor that says a number."""
    return _first(number(path, scale) for name in names for path in _monitors(device, name))


def _monitors(device: Path, name: str) -> Iterator[Path]:
    yield from sorted(device.glob(f"hwmon/hwmon*/{name}"))


def _first(values: Iterator[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)
