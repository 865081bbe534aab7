"""Texts as amdgpu, i915 and xe give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama.discover.drm import drm_gpus
from pollama.discover.gpus import Gpu, Sensors
from tests.discover.trees import plant

RX_7900: dict[str, str] = {
    "device/vendor": "0x1002",
    "device/uevent": "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:0B:00.0",
    "device/unique_id": "4b8d5b1c2a7e9f01",
    "device/mem_info_vram_total": "25753026560",
    "device/mem_info_vram_used": "1503238553",
    "device/gpu_busy_percent": "42",
    "device/max_link_speed": "16.0 GT/s PCIe",
    "device/max_link_width": "16",
    "device/hwmon/hwmon4/power1_average": "78000000",
    "device/hwmon/hwmon4/power1_cap": "303000000",
    "device/hwmon/hwmon4/temp1_input": "51000",
    "device/hwmon/hwmon4/freq1_input": "2482000000",
    "device/hwmon/hwmon4/freq2_input": "1249000000",
}
ARC_A770: dict[str, str] = {
    "device/vendor": "0x8086",
    "device/uevent": "DRIVER=i915\nPCI_SLOT_NAME=0000:03:00.0",
    "device/max_link_speed": "2.5 GT/s PCIe",
    "device/max_link_width": "1",
    "device/hwmon/hwmon2/energy1_input": "5816433715",
    "device/hwmon/hwmon2/power1_max": "190000000",
    "gt_act_freq_mhz": "600",
}
ARC_B580: dict[str, str] = {
    "device/vendor": "0x8086",
    "device/uevent": "DRIVER=xe\nPCI_SLOT_NAME=0000:04:00.0",
    "device/tile0/gt0/freq0/act_freq": "2850",
    "device/hwmon/hwmon5/energy1_input": "77000000",
    "device/hwmon/hwmon5/power1_max": "0",
    "device/hwmon/hwmon5/power1_rated_max": "190000000",
    "device/hwmon/hwmon5/temp2_input": "47000",
}


def card(root: Path, name: str, files: dict[str, str]) -> Path:
    return plant(root, {f"sys/class/drm/{name}/{file}": content for file, content in files.items()})


def test_amdgpu(tmp_path: Path) -> None:
    (gpu,) = drm_gpus(card(tmp_path, "card1", RX_7900))
    assert (gpu.vendor, gpu.address, gpu.uuid, gpu.driver) == ("amd", "0000:0b:00.0", "4b8d5b1c2a7e9f01", "amdgpu")
    assert (gpu.total_bytes, gpu.free_bytes) == (25753026560, 25753026560 - 1503238553)
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.power_watts) == (4, 16, 303)
    assert gpu.sensors == Sensors(utilisation=42, power=78, temperature=51, clock=2482, memory_clock=1249)


def test_a_chip_that_tells_its_momentary_power_only(tmp_path: Path) -> None:
    files = RX_7900 | {"device/hwmon/hwmon4/power1_input": "15250000"}
    del files["device/hwmon/hwmon4/power1_average"]
    assert drm_gpus(card(tmp_path, "card0", files))[0].sensors.power == 15.25


def test_i915_counts_energy(tmp_path: Path) -> None:
    (gpu,) = drm_gpus(card(tmp_path, "card0", ARC_A770))
    assert (gpu.vendor, gpu.power_watts, gpu.energy_joules) == ("intel", 190, 5816.433715)
    assert (gpu.total_bytes, gpu.pcie_generation, gpu.pcie_width) == (0, 1, 1)
    assert gpu.sensors == Sensors(clock=600)


def test_xe_without_a_limit_has_its_rated_power(tmp_path: Path) -> None:
    (gpu,) = drm_gpus(card(tmp_path, "card0", ARC_B580))
    assert (gpu.power_watts, gpu.sensors) == (190, Sensors(temperature=47, clock=2850))


def test_cards_are_in_the_order_of_their_slots(tmp_path: Path) -> None:
    for name, files in (("card2", ARC_A770), ("card1", RX_7900), ("card10", ARC_B580), ("renderD128", RX_7900)):
        card(tmp_path, name, files)
    assert [gpu.address for gpu in drm_gpus(tmp_path)] == ["0000:03:00.0", "0000:04:00.0", "0000:0b:00.0"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"device/vendor": "0x10de", "device/uevent": "DRIVER=nouveau\nPCI_SLOT_NAME=0000:01:00.0"},
        {"device/vendor": "0x1002", "device/uevent": "DRIVER=vkms"},
        {"device/vendor": "odd"},
    ],
)
def test_other_cards_are_left_to_others(tmp_path: Path, files: dict[str, str]) -> None:
    assert drm_gpus(card(tmp_path, "card0", files | {"dev": "226:0"})) == []


@pytest.mark.parametrize("odd", ["", "-1", "unknown", "N/A", "?", "16.0"])
@pytest.mark.parametrize("driver", [RX_7900, ARC_A770])
def test_odd_texts_are_no_facts(tmp_path: Path, driver: dict[str, str], odd: str) -> None:
    kept = ("device/vendor", "device/uevent")
    (gpu,) = drm_gpus(card(tmp_path, "card0", {name: text if name in kept else odd for name, text in driver.items()}))
    assert (gpu.vendor, gpu.pcie_generation) == (drm_gpus(tmp_path)[0].vendor, None)
    assert gpu.total_bytes >= gpu.free_bytes >= 0


def test_no_cards(tmp_path: Path) -> None:
    assert drm_gpus(tmp_path) == []
    assert all(isinstance(gpu, Gpu) for gpu in drm_gpus())
