from __future__ import annotations

from dataclasses import replace

import pytest

from pollama.config import Config
from pollama.discover.selection import limited, log_dropped, log_unknown_numbers, select
from pollama.types.devices import Device, DeviceKind, Vendor

GIB = 1 << 30


def gpu(vendor: Vendor, slot: int, kind: DeviceKind = "cuda") -> Device:
    address = f"0000:{slot:02x}:00.0"
    return Device(
        id=f"{vendor}{slot}", kind=kind, name="NVIDIA H100", total_bytes=GIB, free_bytes=GIB, vendor=vendor,
        pci_address=address,
    )  # fmt: skip


H100 = gpu("nvidia", 1)
VULKAN = replace(H100, kind="vulkan")
RADEON = replace(gpu("amd", 3, "vulkan"), integrated=True, name="AMD Radeon (RADV)")


@pytest.mark.parametrize(
    ("device", "config", "kept"),
    [
        (VULKAN, Config(vulkan=False), False),
        (VULKAN, Config(vulkan=True), True),
        (VULKAN, Config(), True),
        (RADEON, Config(), False),
        (RADEON, Config(igpu_enable=True), True),
        (replace(H100, integrated=True), Config(), True),
        (replace(H100, integrated=True), Config(igpu_enable=False), False),
        (replace(RADEON, kind="rocm", name="Radeon gfx1151"), Config(), True),
        (replace(RADEON, kind="rocm", name="Radeon gfx1035"), Config(), False),
        (replace(RADEON, kind="metal"), Config(), True),
        (H100, Config(llm_library="cuda_v12"), True),
        (H100, Config(llm_library="cpu"), False),
    ],
)
def test_settings_decide_which_gpus_are_used(device: Device, config: Config, kept: bool) -> None:
    assert bool(select([device], config)) is kept


HOUSE = [gpu("nvidia", 9), gpu("nvidia", 1), gpu("amd", 3, "rocm"), gpu("amd", 5, "rocm"), gpu("intel", 7, "sycl")]


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (Config(), {"nvidia1", "nvidia9", "amd3", "amd5", "intel7"}),
        (Config(cuda_gpus=(0,)), {"nvidia1", "amd3", "amd5", "intel7"}),
        (Config(cuda_gpus=(1,), rocm_gpus=(), intel_gpus=()), {"nvidia9"}),
        (Config(cuda_gpus=(), rocm_gpus=(1,)), {"amd5", "intel7"}),
        (Config(cuda_gpus=(0, 1), rocm_gpus=(2, 3), intel_gpus=(4,)), {"nvidia1", "nvidia9", "amd3", "amd5", "intel7"}),
        (Config(cuda_gpus=(), rocm_gpus=(3,), intel_gpus=()), {"amd5"}),
        (Config(cuda_gpus=(0, 7)), {"nvidia1", "amd3", "amd5", "intel7"}),
        (Config(cuda_gpus=(), rocm_gpus=(0, 9), intel_gpus=()), set()),
    ],
)
def test_gpus_are_chosen_by_numbers_of_a_vendor_or_through_all(config: Config, kept: set[str]) -> None:
    assert {device.id for device in select(HOUSE, config)} == kept


def test_numbers_without_a_gpu_are_named(caplog: pytest.LogCaptureFixture) -> None:
    log_unknown_numbers(HOUSE, Config(cuda_gpus=(0, 1), rocm_gpus=(2, 3), intel_gpus=(4,)))
    assert caplog.text == ""
    log_unknown_numbers(HOUSE, Config(cuda_gpus=(0, 7)))
    assert "OLLAMA_CUDA_GPUS=0,7: there are 2 such GPUs" in caplog.text


def test_an_integrated_gpu_is_left_out_with_a_hint(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        log_dropped([RADEON, H100], Config())
        log_dropped([RADEON], Config(igpu_enable=False))
    assert caplog.messages == ["dropping integrated GPU AMD Radeon (RADV); to enable, set OLLAMA_IGPU_ENABLE=1"]


@pytest.mark.parametrize(
    ("limits", "own", "limit"),
    [
        ({}, None, None),
        ({}, 5, 5),
        ({"nvidia1": 7}, None, 7),
        ({"NVIDIA H100": 8}, None, 8),
        ({"nvidia1": 7, "NVIDIA H100": 6}, None, 6),
        ({"nvidia1": 7}, 5, 5),
        ({"nvidia2": 7}, None, None),
    ],
)
def test_memory_is_limited_by_id_or_name(limits: dict[str, int], own: int | None, limit: int | None) -> None:
    assert limited(replace(H100, limit_bytes=own), Config(device_limits=limits)).limit_bytes == limit
