from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pollama.config import Config
from pollama.discover.amd import has_library
from pollama.discover.devices import DeviceReader, with_node
from pollama.discover.ggml import EngineDevice, engine_devices
from pollama.discover.gpus import Gpu, Part, Sensors, read_all
from pollama.discover.merge import merge
from pollama.discover.speeds import SpeedBook
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
RX = replace(
    H100, name="ROCm0", backend="ROCm", description="AMD Radeon RX 7900 XTX", free_bytes=22 * GIB, total_bytes=24 * GIB,
    hardware_id="0000:03:00.0",
)  # fmt: skip
NVML = Gpu(
    vendor="nvidia", address="0000:01:00.0", uuid="GPU-1234", name="NVIDIA H100", total_bytes=80 * GIB,
    free_bytes=60 * GIB,
    driver="570.1", compute_capability="9.0",
)  # fmt: skip


def test_vendor_facts_complete_the_engine() -> None:
    facts = replace(NVML, pcie_generation=5, pcie_width=16, numa_node=1, power_watts=700.0)
    (gpu,) = merge([H100], [facts])
    assert (gpu.id, gpu.kind, gpu.engine_name, gpu.driver, gpu.compute_capability) == (
        "GPU-1234",
        "cuda",
        "CUDA0",
        "570.1",
        "9.0",
    )
    assert (gpu.total_bytes, gpu.free_bytes) == (80 * GIB, 60 * GIB)
    assert (gpu.vendor, gpu.uuid, gpu.pci_address) == ("nvidia", "GPU-1234", "0000:01:00.0")
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.numa_node, gpu.power_watts) == (5, 16, 1, 700)


def test_without_vendor_library_the_engine_is_believed() -> None:
    (gpu,) = merge([H100], [])
    assert (gpu.id, gpu.free_bytes, gpu.is_gpu, gpu.vendor) == ("0000:01:00.0", 70 * GIB, True, "nvidia")


def test_a_gpu_of_the_vendor_that_the_engine_cannot_use_is_no_device() -> None:
    assert merge([], [NVML]) == []


def test_memory_that_the_vendor_does_not_tell_is_the_engines_to_tell() -> None:
    (gpu,) = merge([H100], [replace(NVML, total_bytes=0, free_bytes=0)])
    assert (gpu.id, gpu.free_bytes, gpu.driver) == ("GPU-1234", 70 * GIB, "570.1")


def test_others_than_nvidias_gpus_go_by_their_slots() -> None:
    amd = Gpu(vendor="amd", address="0000:03:00.0", uuid="9c2a", total_bytes=24 * GIB, free_bytes=20 * GIB)
    (gpu,) = merge([RX], [amd])
    assert (gpu.id, gpu.uuid, gpu.vendor, gpu.free_bytes) == ("0000:03:00.0", "9c2a", "amd", 20 * GIB)


def test_a_gpu_without_a_slot_is_known_by_its_vendor() -> None:
    metal = replace(RADEON, name="Metal", backend="MTL", kind="gpu", description="Apple M3 Pro")
    apple = Gpu(vendor="apple", address="", name="Apple M3 Pro", driver="26.3")
    assert [gpu.driver for gpu in merge([metal, RADEON], [apple])] == ["26.3", ""]


@pytest.mark.parametrize(
    ("name", "vendor"),
    [("AMD Radeon (RADV)", "amd"), ("Intel(R) Arc(tm) A770", "intel"), ("NVIDIA T4", "nvidia"), ("llvmpipe", None)],
)
def test_vulkan_devices_have_the_vendor_of_their_name(name: str, vendor: str | None) -> None:
    assert merge([replace(RADEON, description=name)], [])[0].vendor == vendor


PARTS = tuple(Part(uuid=f"MIG-{index}", total_bytes=10 * GIB, free_bytes=(9 - index) * GIB) for index in range(2))


def test_parts_of_a_gpu_are_each_taken_once() -> None:
    part = replace(H100, total_bytes=10 * GIB, free_bytes=8 * GIB)
    gpus = merge([part, replace(part, name="CUDA1"), replace(part, name="CUDA2")], [replace(NVML, parts=PARTS)])
    assert [gpu.id for gpu in gpus] == ["MIG-0", "MIG-1", "GPU-1234/CUDA2"]
    assert [gpu.free_bytes // GIB for gpu in gpus] == [9, 8, 8]


def test_a_part_of_a_gpu_keeps_its_own_memory() -> None:
    part = replace(H100, total_bytes=10 * GIB, free_bytes=9 * GIB)
    (gpu,) = merge([part], [NVML])
    assert (gpu.id, gpu.total_bytes, gpu.free_bytes) == ("GPU-1234/CUDA0", 10 * GIB, 9 * GIB)


def test_vulkan_yields_to_the_vendors_backend() -> None:
    assert [gpu.engine_name for gpu in merge([H100_VULKAN, H100], [NVML])] == ["CUDA0"]
    nameless = replace(H100_VULKAN, hardware_id="")
    assert [gpu.engine_name for gpu in merge([nameless, H100], [NVML])] == ["CUDA0"]


def test_a_second_gpu_of_the_same_model_is_another_device() -> None:
    second = replace(H100_VULKAN, hardware_id="0000:02:00.0")
    assert [gpu.engine_name for gpu in merge([H100, second], [NVML])] == ["CUDA0", "Vulkan0"]


def test_backends_that_are_no_devices_are_left_out() -> None:
    assert merge([replace(H100, backend="BLAS")], []) == []


def test_of_two_descriptions_of_a_gpu_the_first_is_believed() -> None:
    library, kernel = replace(NVML, name="library"), replace(NVML, name="kernel")
    other = replace(NVML, address="0000:02:00.0")
    assert read_all([lambda: [library], lambda: [kernel, other]]) == [library, other]


async def test_the_engine_is_asked_in_a_child() -> None:
    devices = await engine_devices(environment())
    assert devices is not None
    assert all(device.kind in ("gpu", "igpu") for device in devices)


@pytest.mark.parametrize("program", ["print('[{]')", "raise SystemExit(1)", "print('[{\"name\": 1}]')"])
async def test_a_failing_probe_leaves_the_cpu(program: str, caplog: pytest.LogCaptureFixture) -> None:
    reader = DeviceReader(Config(environ=environment()), readers=(), probe=(sys.executable, "-c", program))
    assert [device.kind for device in await reader.read()] == ["cpu"]
    assert "could not be listed" in caplog.text


async def test_devices_of_this_machine_end_with_the_cpu() -> None:
    devices = await DeviceReader(Config(environ=environment())).read()
    assert [device.kind for device in devices].count("cpu") == 1
    assert devices[-1].kind == "cpu"


def scripted(folder: Path, *answers: list[EngineDevice]) -> tuple[str, ...]:
    """A probe that gives one answer after the other, and counts them in ``folder/probes``."""
    texts = [msgspec.json.encode(answer).decode() for answer in answers]
    program = f"""
from pathlib import Path
count = Path({str(folder / "probes")!r})
asked = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (asked + 1))
print({texts!r}[asked])
"""
    return (sys.executable, "-c", program)


async def test_free_memory_is_read_anew_without_asking_the_engine(tmp_path: Path) -> None:
    free = iter((60 * GIB, 50 * GIB))
    reader = DeviceReader(
        Config(environ=environment()),
        readers=[lambda: [replace(NVML, free_bytes=next(free))]],
        probe=scripted(tmp_path, [H100]),
    )
    assert [(await reader.read())[0].free_bytes for _ in range(2)] == [60 * GIB, 50 * GIB]
    assert (tmp_path / "probes").read_text() == "x"


async def test_a_gpu_vanishes_when_the_engine_agrees_and_may_come_back(tmp_path: Path) -> None:
    known = iter(([NVML], [], [], [NVML]))
    reader = DeviceReader(
        Config(environ=environment()),
        readers=[lambda: next(known)],
        probe=scripted(tmp_path, [H100], [H100], [], [H100]),
    )
    readings = [await reader.read() for _ in range(4)]
    kinds = [[device.kind for device in reading] for reading in readings]
    assert kinds == [["cuda", "cpu"], ["cuda", "cpu"], ["cpu"], ["cuda", "cpu"]]


async def test_a_glance_asks_the_engine_only_when_a_gpu_comes_or_goes(tmp_path: Path) -> None:
    known = iter(([NVML], [NVML], [], [], []))
    reader = DeviceReader(
        Config(environ=environment()),
        readers=[lambda: next(known)],
        probe=scripted(tmp_path, [H100], [H100], [replace(H100, free_bytes=GIB)]),
    )
    asked = []
    for look in (reader.read, reader.glance, reader.glance, reader.glance, reader.read):
        gpu = (await look())[0]
        asked.append((len((tmp_path / "probes").read_text()), gpu.free_bytes // GIB))
    assert asked == [(1, 60), (1, 60), (2, 70), (2, 70), (3, 1)]


async def test_measured_speeds_and_limits_are_part_of_a_reading(tmp_path: Path) -> None:
    book = SpeedBook(tmp_path / "speed.json", "1")
    limits = {"NVIDIA H100": 40 * GIB}
    reader = DeviceReader(
        Config(environ=environment(), device_limits=limits),
        speeds=book,
        readers=[lambda: [NVML]],
        probe=scripted(tmp_path, [H100]),
    )
    gpu = (await reader.read())[0]
    await book.record(gpu, 2e12, 4e14, 1.0)
    assert (await reader.read())[0] == replace(gpu, bandwidth=2e12, compute=4e14, limit_bytes=40 * GIB)


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


async def test_how_devices_do_is_told_by_device_once_a_second(tmp_path: Path) -> None:
    loads = iter((35.0, 90.0))
    sensors = Sensors(power=310.5, temperature=61, clock=1980, memory_clock=2619)
    clock = HandClock()
    reader = DeviceReader(
        Config(environ=environment()),
        readers=[lambda: [replace(NVML, sensors=replace(sensors, utilisation=next(loads)))]],
        probe=scripted(tmp_path, [H100]),
        clock=clock,
    )
    gpu, cpu = await reader.telemetry()
    assert (gpu.device, gpu.time, gpu.memory_used, gpu.utilisation) == ("GPU-1234", 1000, 20 * GIB, 35)
    assert (gpu.power, gpu.temperature, gpu.clock, gpu.memory_clock) == (310.5, 61, 1980, 2619)
    assert (cpu.device[:4], cpu.utilisation) == ("cpu:", None)
    assert await reader.telemetry() == [gpu, cpu]
    clock.now += 1
    gpu, cpu = await reader.telemetry()
    assert (gpu.time, gpu.utilisation) == (1001, 90)
    assert cpu.utilisation is not None


async def test_a_missing_library_of_rocm_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    card = Gpu(vendor="amd", address="0000:03:00.0")
    reader = DeviceReader(Config(environ=environment()), readers=[lambda: [card]], probe=scripted(tmp_path, []))
    with caplog.at_level("INFO"):
        await reader.read()
    assert ("ROCm's library is absent" in caplog.text) is not has_library()


async def test_gpus_lie_next_to_memory_nodes(tmp_path: Path) -> None:
    place = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    place.mkdir(parents=True)
    (place / "numa_node").write_text("1\n")
    assert with_node(NVML, tmp_path).numa_node == 1
    (place / "numa_node").write_text("-1\n")
    assert with_node(NVML, tmp_path).numa_node is None
