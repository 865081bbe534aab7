"""Answers of amdsmi as the tool amd-smi shows them for a Radeon Pro W7700, a Radeon RX 7800 XT and an MI250X."""

from __future__ import annotations

from typing import Any

import pytest

from pollama.discover.amd import amd_gpus, amd_peers, parse, parse_peer
from pollama.discover.gpus import Peer, Sensors

MIB = 1 << 20
W7700: dict[str, Any] = {
    "gpu_device_bdf": "0000:C3:00.0",
    "gpu_device_uuid": "8dff7470-0000-1000-806a-1f9f5d0f2c3b",
    "gpu_asic_info": {"market_name": "AMD Radeon PRO W7700", "vendor_id": "0x1002", "num_compute_units": 48},
    "gpu_driver_info": {"driver_name": "amdgpu", "driver_version": "6.10.5", "driver_date": "N/A"},
    "gpu_vram_usage": {"vram_total": 16368, "vram_used": 1569},
    "gpu_activity": {"gfx_activity": 42, "umc_activity": 1, "mm_activity": 0},
    "power_info": {"socket_power": 20, "current_socket_power": "N/A", "average_socket_power": 20, "power_limit": 150},
    "power_cap_info": {"power_cap": 150000000, "default_power_cap": 150000000, "max_power_cap": 150000000},
    "temp_metric": 41,
    "clock_info": {"clk": 14, "min_clk": 54, "max_clk": 2482, "clk_locked": "N/A"},
    "memory_clock_info": {"clk": 96, "min_clk": 96, "max_clk": 1124, "clk_locked": "N/A"},
    "pcie_info": {"pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 16000, "pcie_interface_version": 4}},
}


def test_all_answers() -> None:
    gpu = parse(W7700)
    assert gpu is not None
    assert (gpu.vendor, gpu.address, gpu.name, gpu.driver) == ("amd", "0000:c3:00.0", "AMD Radeon PRO W7700", "6.10.5")
    assert (gpu.total_bytes, gpu.free_bytes) == (16368 * MIB, (16368 - 1569) * MIB)
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.power_watts) == (4, 16, 150)
    assert gpu.sensors == Sensors(utilisation=42, power=20, temperature=41, clock=14, memory_clock=96)


def test_older_libraries_have_other_names_for_power() -> None:
    power = {"current_socket_power": "N/A", "average_socket_power": 128}
    gpu = parse(W7700 | {"power_info": power})
    assert gpu is not None
    assert gpu.sensors.power == 128


@pytest.mark.parametrize("lacking", sorted(set(W7700) - {"gpu_device_bdf"}))
def test_every_function_may_fail(lacking: str) -> None:
    gpu = parse({name: answer for name, answer in W7700.items() if name != lacking})
    assert gpu is not None
    assert gpu.address == "0000:c3:00.0"


def test_what_is_not_available_is_unknown() -> None:
    def without(value: Any) -> Any:
        return {key: without(inner) for key, inner in value.items()} if isinstance(value, dict) else "N/A"

    gpu = parse({name: without(answer) for name, answer in W7700.items() if name != "gpu_device_bdf"} | {
        "gpu_device_bdf": "0000:C3:00.0"
    })  # fmt: skip
    assert gpu is not None
    assert (gpu.name, gpu.total_bytes, gpu.power_watts, gpu.sensors) == ("", 0, None, Sensors())


def test_a_gpu_that_does_not_say_where_it_is_is_none() -> None:
    assert parse({name: answer for name, answer in W7700.items() if name != "gpu_device_bdf"}) is None


def test_the_library_of_this_machine_may_be_absent() -> None:
    assert all(gpu.vendor == "amd" for gpu in amd_gpus())


MI250X: dict[str, Any] = {
    "first": "0000:C1:00.0",
    "second": "0000:C6:00.0",
    "link_type": {"hops": 1, "type": 2},
    "bandwidth": {"min_bandwidth": 50000, "max_bandwidth": 200000},
    "accessible": True,
}
"""Two halves of one package, as rocm-smi --showtopo and --shownodesbw print them: XGMI, 50000-200000 MB/s."""


def joined(**facts: Any) -> Peer:
    return Peer(first="0000:c1:00.0", second="0000:c6:00.0", **facts)


def test_gpus_that_are_joined_by_xgmi() -> None:
    assert parse_peer(MI250X) == joined(kind="xgmi", bandwidth=200e9)
    assert parse_peer({name: answer for name, answer in MI250X.items() if name != "bandwidth"}) == joined(kind="xgmi")


@pytest.mark.parametrize(("accessible", "expected"), [(True, joined(kind="pcie")), (False, None)])
def test_gpus_in_slots_reach_each_other_or_not(accessible: bool, expected: Peer | None) -> None:
    slots = {"link_type": {"hops": 2, "type": 1}, "bandwidth": {"min_bandwidth": 0, "max_bandwidth": 0}}
    assert parse_peer(MI250X | slots | {"accessible": accessible}) == expected


@pytest.mark.parametrize("lacking", ["first", "second", "link_type"])
def test_links_may_stay_untold(lacking: str) -> None:
    assert parse_peer({name: answer for name, answer in MI250X.items() if name != lacking}) is None


def test_without_the_library_nothing_is_joined() -> None:
    assert all(peer.kind in ("xgmi", "pcie") for peer in amd_peers())
