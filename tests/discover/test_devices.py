from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pollama.config import Config
from pollama.discover.devices import DeviceReader, merge
from pollama.discover.ggml import EngineDevice, engine_devices
from pollama.discover.nvidia import NvidiaGpu, nvidia_gpus, pci_address
from tests.runners.conftest import environment

GIB = 1 << 30
H100 = EngineDevice(
    name="CUDA0", description="NVIDIA H100", kind="gpu", backend="CUDA", free_bytes=70 * GIB, total_bytes=80 * GIB,
    hardware_id="0000:01:00.0",
)  # fmt: skip
H100_VULKAN = replace(H100, name="Vulkan0", backend="Vulkan", description="NVIDIA H100 (NVIDIA)")
RADEON = EngineDevice(
    name="Vulkan1", description="AMD Radeon (RADV)", kind="igpu", backend="Vulkan", free_bytes=GIB, total_bytes=2 * GIB
)
NVML = NvidiaGpu(
    hardware_id="0000:01:00.0", uuid="GPU-1234", name="NVIDIA H100", total_bytes=80 * GIB, free_bytes=60 * GIB,
    driver="570.1", compute_capability="9.0",
)  # fmt: skip


def test_vendor_facts_complete_the_engine() -> None:
    (gpu,) = merge([H100], [NVML], Config())
    assert (gpu.id, gpu.kind, gpu.engine_name, gpu.driver, gpu.compute_capability) == (
        "GPU-1234",
        "cuda",
        "CUDA0",
        "570.1",
        "9.0",
    )
    assert (gpu.total_bytes, gpu.free_bytes) == (80 * GIB, 60 * GIB)


def test_without_vendor_library_the_engine_is_believed() -> None:
    (gpu,) = merge([H100], [], Config())
    assert (gpu.id, gpu.free_bytes, gpu.is_gpu) == ("0000:01:00.0", 70 * GIB, True)


def test_a_gpu_of_the_vendor_that_the_engine_cannot_use_is_no_device() -> None:
    assert merge([], [NVML], Config()) == []


def test_a_part_of_a_gpu_keeps_its_own_memory() -> None:
    part = replace(H100, total_bytes=10 * GIB, free_bytes=9 * GIB)
    (gpu,) = merge([part], [NVML], Config())
    assert (gpu.id, gpu.total_bytes, gpu.free_bytes) == ("GPU-1234/CUDA0", 10 * GIB, 9 * GIB)


def test_vulkan_yields_to_the_vendors_backend() -> None:
    assert [gpu.engine_name for gpu in merge([H100_VULKAN, H100], [NVML], Config())] == ["CUDA0"]
    nameless = replace(H100_VULKAN, hardware_id="")
    assert [gpu.engine_name for gpu in merge([nameless, H100], [NVML], Config())] == ["CUDA0"]


def test_a_second_gpu_of_the_same_model_is_another_device() -> None:
    second = replace(H100_VULKAN, hardware_id="0000:02:00.0")
    assert [gpu.engine_name for gpu in merge([H100, second], [NVML], Config())] == ["CUDA0", "Vulkan0"]


@pytest.mark.parametrize(
    ("device", "config", "kept"),
    [
        (H100_VULKAN, Config(vulkan=False), False),
        (H100_VULKAN, Config(), True),
        (RADEON, Config(), False),
        (RADEON, Config(igpu_enable=True), True),
        (replace(H100, kind="igpu"), Config(), True),
        (replace(H100, kind="igpu"), Config(igpu_enable=False), False),
        (replace(RADEON, backend="ROCm", description="Radeon gfx1151"), Config(), True),
        (replace(RADEON, backend="ROCm", description="Radeon gfx1035"), Config(), False),
        (replace(RADEON, backend="MTL"), Config(), True),
        (H100, Config(llm_library="cuda_v12"), True),
        (H100, Config(llm_library="cpu"), False),
        (replace(H100, backend="BLAS"), Config(), False),
    ],
)
def test_settings_decide_which_gpus_are_used(device: EngineDevice, config: Config, kept: bool) -> None:
    assert bool(merge([device], [], config)) is kept


@pytest.mark.parametrize(
    ("bus_id", "address"), [("00000000:01:00.0", "0000:01:00.0"), ("00010000:AF:00.0", "10000:af:00.0")]
)
def test_pci_addresses(bus_id: str, address: str) -> None:
    assert pci_address(bus_id) == address


def test_nvidia_library_may_be_absent() -> None:
    assert all(gpu.total_bytes > 0 for gpu in nvidia_gpus())


async def test_the_engine_is_asked_in_a_child() -> None:
    assert all(device.kind in ("gpu", "igpu") for device in await engine_devices(environment()))


@pytest.mark.parametrize("program", ["print('[{]')", "raise SystemExit(1)", "print('[{\"name\": 1}]')"])
async def test_a_failing_probe_leaves_the_cpu(program: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await engine_devices(environment(), (sys.executable, "-c", program)) == []
    assert "using the CPU only" in caplog.text


async def test_devices_of_this_machine_end_with_the_cpu() -> None:
    devices = await DeviceReader(Config(environ=environment())).read()
    assert [device.kind for device in devices].count("cpu") == 1
    assert devices[-1].kind == "cpu"


async def test_free_memory_is_read_anew_without_asking_the_engine(tmp_path: Path) -> None:
    probes = tmp_path / "probes"
    program = f"open({str(probes)!r}, 'a').write('x'); print({msgspec.json.encode([H100]).decode()!r})"
    free = iter((60 * GIB, 50 * GIB))
    reader = DeviceReader(
        Config(environ=environment()),
        gpus=lambda: [replace(NVML, free_bytes=next(free))],
        probe=(sys.executable, "-c", program),
    )
    assert [(await reader.read())[0].free_bytes for _ in range(2)] == [60 * GIB, 50 * GIB]
    assert probes.read_text() == "x"
