from __future__ import annotations

import os
from pathlib import Path

import pytest

from pollama.discover.gpus import Gpu
from pollama.discover.gpus import Sensors as GpuSensors
from pollama.discover.telemetry import Rates, Sensors, cpu_power_limit, package_temperatures
from pollama.types.devices import Device, Telemetry
from tests.discover.trees import plant

GPU = Device(
    id="g", kind="sycl", name="", total_bytes=100, free_bytes=30, pci_address="0000:03:00.0", engine_name="SYCL0"
)


def cpu(*cores: int) -> Device:
    return Device(id=f"cpu:{cores}", kind="cpu", name="", total_bytes=100, free_bytes=60, cores=cores)


def test_rates_are_growth_per_second() -> None:
    rates = Rates()
    assert [rates.of("a", value, now) for value, now in ((5, 1.0), (25, 3.0), (25, 4.0))] == [None, 10, 0]


def test_a_counter_that_starts_again() -> None:
    rates = Rates()
    rates.of("a", 90, 1.0)
    rates.of("b", 90, 1.0)
    assert (rates.of("a", 10, 2.0, wraps_at=100), rates.of("b", 10, 2.0)) == (20, None)


@pytest.mark.parametrize("between", [(None, 2.0), (7, 1.0), (7, 0.5)])
def test_a_counter_without_a_time_before(between: tuple[float | None, float]) -> None:
    rates = Rates()
    rates.of("a", 5, 1.0)
    assert rates.of("a", *between) is None


def package(index: int, energy: int, cores: tuple[int, ...]) -> dict[str, str]:
    """Energy counter and cores of a socket, as on a server with two."""
    rapl = f"sys/class/powercap/intel-rapl:{index}"
    return {
        f"{rapl}/name": f"package-{index}",
        f"{rapl}/energy_uj": str(energy),
        f"{rapl}/max_energy_range_uj": "262143328850",
        f"{rapl}/constraint_0_power_limit_uw": "205000000",
        f"{rapl}:0/name": "dram",
        f"{rapl}:0/energy_uj": "1",
        **{f"sys/devices/system/cpu/cpu{core}/topology/physical_package_id": str(index) for core in cores},
    }


def test_the_power_of_a_socket_is_divided_by_cores(tmp_path: Path) -> None:
    devices = [cpu(0), cpu(2, 3), cpu(1, 2)]
    plant(tmp_path, package(0, 1_000_000, (0, 1)) | package(1, 262_143_000_000, (2, 3)))
    sensors = Sensors(tmp_path)
    assert [reading.power for reading in sensors.read(devices, (), 10.0)] == [None, None, None]
    plant(tmp_path, package(0, 201_000_000, (0, 1)) | package(1, 99_671_150, (2, 3)))
    powers = [reading.power for reading in sensors.read(devices, (), 12.0)]
    assert powers == [pytest.approx(50), pytest.approx(50), pytest.approx(75)]
    assert [cpu_power_limit(device.cores, tmp_path) for device in devices] == [102.5, 205, 205]


def test_counters_that_only_root_may_read_tell_nothing(tmp_path: Path) -> None:
    files = {name: text for name, text in package(0, 1, (0,)).items() if not name.endswith("_uj")}
    sensors = Sensors(plant(tmp_path, files))
    assert {reading.power for now in (1.0, 2.0) for reading in sensors.read([cpu(0)], (), now)} == {None}
    assert cpu_power_limit((0,), tmp_path / "elsewhere") is None


def test_the_cores_of_this_machine_have_a_load() -> None:
    device = cpu(*sorted(os.sched_getaffinity(0)))
    sensors = Sensors()
    (first,) = sensors.read([device], (), 1.0)
    (second,) = sensors.read([device], (), 100.0)
    assert (first.utilisation, first.memory_used) == (None, 40)
    assert second.utilisation is not None
    assert 0 <= second.utilisation <= 100


def test_a_core_that_this_machine_does_not_have_tells_nothing() -> None:
    sensors = Sensors()
    (_, reading) = (sensors.read([cpu(9999)], (), now)[0] for now in (1.0, 2.0))
    assert (reading.utilisation, reading.clock) == (None, None)


def test_a_gpu_that_counts_energy_has_a_power_from_the_second_reading_on() -> None:
    sensors = Sensors()

    def read(joules: float | None, now: float) -> Telemetry:
        gpu = Gpu(vendor="intel", address=GPU.pci_address, energy_joules=joules, sensors=GpuSensors(clock=600))
        return sensors.read([GPU], [gpu], now)[0]

    assert read(1000, 5.0) == Telemetry(device="g", time=5.0, memory_used=70, clock=600)
    assert read(1240, 7.0).power == 120
    assert read(None, 8.0).power is None


def test_a_gpu_of_which_nobody_tells_has_its_memory_only() -> None:
    assert Sensors().read([GPU], [], 5.0) == [Telemetry(device="g", time=5.0, memory_used=70)]


@pytest.mark.parametrize(
    ("sensors", "by_socket"),
    [
        ([("Package id 0", 61.0), ("Core 0", 58.0), ("Package id 1", 43.0), ("Core 0", 40.0)], {0: 61, 1: 43}),
        ([("Tctl", 71.5), ("Tccd1", 75.0)], {0: 71.5}),
        ([("", 52.0), ("", 55.0)], {0: 55}),
        ([], {}),
    ],
)
def test_temperatures_of_sockets(sensors: list[tuple[str, float]], by_socket: dict[int, float]) -> None:
    assert package_temperatures(sensors) == by_socket
