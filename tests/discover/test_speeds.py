from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pollama.discover.benchmark import Benchmark, measure_when_idle
from pollama.discover.speeds import SpeedBook, engine_build, link_class
from pollama.types.devices import Device, Link
from tests.runners.conftest import environment

MIB = 1 << 20
CPU = Device(id="cpu:0", kind="cpu", name="", total_bytes=64 * MIB, free_bytes=32 * MIB, cores=(0,))
GPU = Device(
    id="GPU-1", kind="cuda", name="", total_bytes=64 * MIB, free_bytes=32 * MIB, engine_name="CUDA9", driver="570"
)
LOOPBACK = Link(first="cpu:0", second="cpu:1", kind="package", distance=10)


async def recorded(file: Path) -> SpeedBook:
    book = SpeedBook(file, "1")
    await book.record(CPU, 4e9, 5e10, 0.99)
    await book.record(GPU, 9e11, 1e14, 0.1)
    await book.record_link(LOOPBACK, 2e9, 1e-5)
    return book


async def test_measurements_survive_a_restart(tmp_path: Path) -> None:
    await recorded(tmp_path / "new" / "speed.json")
    book = SpeedBook(tmp_path / "new" / "speed.json", "1")
    cpu, gpu = book.devices([CPU, GPU])
    assert (cpu.bandwidth, cpu.compute, gpu.bandwidth, gpu.compute) == (4e9, 5e10, 9e11, 1e14)
    (link,) = book.links([LOOPBACK])
    assert (link.bandwidth, link.latency) == (2e9, 1e-5)
    assert book.is_known(CPU)
    assert book.is_known(GPU)
    assert book.is_known_link(LOOPBACK)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["speed.json"]


@pytest.mark.parametrize(
    "device", [replace(GPU, driver="571"), replace(GPU, kind="vulkan"), replace(GPU, id="GPU-2"), replace(CPU, id="c")]
)
async def test_a_measurement_holds_for_its_device_driver_and_backend(tmp_path: Path, device: Device) -> None:
    book = await recorded(tmp_path / "speed.json")
    assert book.devices([device]) == [device]
    assert not book.is_known(device)


async def test_another_build_of_the_engine_is_measured_anew(tmp_path: Path) -> None:
    await recorded(tmp_path / "speed.json")
    book = SpeedBook(tmp_path / "speed.json", "2")
    assert book.devices([CPU, GPU]) == [CPU, GPU]
    assert book.links([LOOPBACK]) == [LOOPBACK]
    assert not book.is_known_link(LOOPBACK)


async def test_a_disturbed_measurement_is_used_until_there_is_a_better_one(tmp_path: Path) -> None:
    book = await recorded(tmp_path / "speed.json")
    await book.record(CPU, 1e9, 1e10, 0.4)
    assert book.devices([CPU])[0].bandwidth == 1e9
    assert not book.is_known(CPU)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"devices": 1}', b'{"devices": {"cpu:0": {"bandwidth": "x"}}}', b'{"devices": {"\xff": 1}}']
)
async def test_a_damaged_file_is_an_empty_one(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "speed.json").write_bytes(data)
    assert SpeedBook(tmp_path / "speed.json", "1").devices([CPU]) == [CPU]
    assert "measured again" in caplog.text
    await recorded(tmp_path / "speed.json")
    assert SpeedBook(tmp_path / "speed.json", "1").is_known(CPU)


async def test_a_file_that_cannot_be_written_costs_the_memory_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    book = await recorded(tmp_path / "file" / "speed.json")
    assert book.is_known(CPU)
    assert "not kept" in caplog.text


def test_links_of_one_class_need_one_measurement() -> None:
    assert link_class(LOOPBACK) == link_class(replace(LOOPBACK, second="cpu:7"))
    assert link_class(LOOPBACK) != link_class(replace(LOOPBACK, kind="numa", distance=21))
    slot = Link(first="GPU-1", second="cpu:0", kind="pcie")
    assert link_class(slot) == link_class(Link(first="cpu:0", second="GPU-1", kind="pcie"))
    assert link_class(slot) != link_class(replace(slot, first="GPU-2"))


def test_the_build_is_that_of_the_installed_files() -> None:
    version, digest = engine_build().split("+")
    assert version[0].isdigit()
    assert len(digest) == 12


async def test_a_device_and_its_links_are_measured_once(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    book = SpeedBook(file)
    other = replace(CPU, id="cpu:1")
    benchmark = Benchmark(book, environment())
    await benchmark.measure([CPU])
    await benchmark.measure_links([LOOPBACK, replace(LOOPBACK, distance=10)], [CPU, other])
    (cpu,), (link,) = book.devices([CPU]), book.links([LOOPBACK])
    assert 0 < cpu.bandwidth < cpu.compute
    assert 0 < link.latency < link.bandwidth
    await book.record(CPU, cpu.bandwidth, cpu.compute, 1.0)
    before = file.read_text()
    await benchmark.measure([CPU])
    await benchmark.measure_links([LOOPBACK], [CPU, other])
    assert file.read_text() == before


async def test_the_way_between_two_gpus_is_measured_where_the_engine_knows_both(tmp_path: Path) -> None:
    book = SpeedBook(tmp_path / "speed.json")
    first, second, strange = (replace(GPU, id=f"GPU-{number}", engine_name="CPU") for number in (1, 2, 3))
    way, other = Link(first="GPU-1", second="GPU-2", kind="pcie"), Link(first="GPU-1", second="GPU-3", kind="pcie")
    devices = [first, second, replace(strange, engine_name="")]
    await Benchmark(book, environment()).measure_links([way, other], devices)
    (measured,) = book.links([way])
    assert 0 < measured.latency < measured.bandwidth
    assert not book.is_known_link(other)


async def test_what_cannot_be_measured_stays_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = SpeedBook(tmp_path / "speed.json")
    between = Link(first="GPU-1", second="GPU-1", kind="pcie")
    benchmark = Benchmark(book, environment())
    await benchmark.measure([GPU])
    await benchmark.measure_links([between, replace(between, second="cpu:0")], [GPU, CPU])
    assert "GPU-1 could not be measured" in caplog.text
    assert "GPU-1 to cpu:0 could not be measured" in caplog.text
    assert book.devices([GPU]) == [GPU]
    assert not (tmp_path / "speed.json").exists()


async def test_measuring_waits_for_idle_devices_and_stops_for_work(tmp_path: Path) -> None:
    book = SpeedBook(tmp_path / "speed.json")
    answers = iter([False, True, True, False])
    asked = []

    def idle() -> bool:
        asked.append(book.devices([CPU])[0].bandwidth)
        return next(answers, True)

    async def read() -> list[Device]:
        return [CPU]

    await measure_when_idle(Benchmark(book, environment()), read, lambda devices: [], idle, poll_seconds=0.01)
    assert asked[:5] == [0] * 5
    assert book.devices([CPU])[0].bandwidth > 0
