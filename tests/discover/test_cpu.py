from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from pollama.discover.cpu import Limits, allowed_cores, cgroup_limits, check_cores, cpu_device, cpu_devices
from pollama.errors import ConfigError
from pollama.types.cores import CpuPartition, core_ranges
from tests.discover.trees import plant

GIB = 1 << 30


def _machine(root: Path, group: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:name=systemd:/\n0::{group}\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_no_control_groups_no_limits(tmp_path: Path) -> None:
    assert cgroup_limits(tmp_path) == Limits()


def test_unlimited_group(tmp_path: Path) -> None:
    files = {"a/memory.max": "max", "a/memory.current": "123", "a/cpu.max": "max 100000"}
    assert cgroup_limits(_machine(tmp_path, "/a", files)) == Limits()


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    files = {
        "a/cpu.max": "150000 100000",
        "a/memory.max": str(8 * GIB),
        "a/memory.current": str(7 * GIB),
        "a/b/cpu.max": "400000 100000",
        "a/b/memory.max": str(4 * GIB),
        "a/b/memory.current": str(2 * GIB),
    }
    limits = cgroup_limits(_machine(tmp_path, "/a/b", files))
    assert limits == Limits(cpus=1.5, memory_bytes=4 * GIB, available_bytes=1 * GIB)


def test_cached_files_count_as_available(tmp_path: Path) -> None:
    files = {
        "memory.max": str(4 * GIB),
        "memory.current": str(3 * GIB),
        "memory.stat": f"anon 5\ninactive_file {2 * GIB}\nactive_file 7",
    }
    limits = cgroup_limits(_machine(tmp_path, "/", files))
    assert (limits.memory_bytes, limits.available_bytes) == (4 * GIB, 3 * GIB)


def test_cores_follow_affinity_and_quota() -> None:
    mine = tuple(sorted(os.sched_getaffinity(0)))
    assert allowed_cores(Limits()) == mine
    assert allowed_cores(Limits(cpus=0.5)) == mine[:1]
    assert allowed_cores(Limits(cpus=1000.0)) == mine


def test_cpu_device_in_a_limited_group(tmp_path: Path) -> None:
    root = _machine(tmp_path, "/", {"memory.max": str(GIB), "memory.current": str(GIB // 4)})
    (root / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Quick CPU\n")
    device = cpu_device(root)
    assert (device.kind, device.name, device.is_gpu) == ("cpu", "Quick CPU", False)
    assert device.total_bytes == GIB
    assert device.free_bytes <= 3 * GIB // 4
    assert device.id == f"cpu:{core_ranges(device.cores)}"


def test_cpu_device_of_this_machine() -> None:
    device = cpu_device()
    assert 0 < device.free_bytes <= device.total_bytes <= psutil.virtual_memory().total
    assert device.cores


def test_without_partitions_there_is_one_device() -> None:
    assert [device.cores for device in cpu_devices(())] == [cpu_device().cores]


def test_partitions_share_the_memory_of_the_machine(tmp_path: Path) -> None:
    root = _machine(tmp_path, "/", {"memory.max": str(4 * GIB), "memory.current": str(GIB)})
    (root / "proc/cpuinfo").write_text("model name\t: Quick CPU\n")
    first, second = cpu_devices([CpuPartition(cores=(0,), memory_bytes=GIB), CpuPartition(cores=(1, 2))], root)
    assert (first.id, first.cores, first.capacity_bytes) == ("cpu:0", (0,), GIB)
    assert (second.id, second.cores, second.capacity_bytes) == ("cpu:1-2", (1, 2), 4 * GIB)
    assert (first.name, second.name) == ("Quick CPU (cores 0)", "Quick CPU (cores 1-2)")
    assert first.total_bytes == second.total_bytes


def test_a_core_that_is_not_there_is_refused_by_its_place() -> None:
    partitions = [CpuPartition(cores=(0,)), CpuPartition(cores=(1, 9))]
    check_cores(partitions, (0, 1, 9), "devices.cpu")
    with pytest.raises(ConfigError, match=r"^devices\.cpu\[1\]\.cores: there is no core 9 .*only 0-3$"):
        check_cores(partitions, (0, 1, 2, 3), "devices.cpu")


def nodes(root: Path, *cpulists: str) -> Path:
    return plant(root, {f"sys/devices/system/node/node{i}/cpulist": cores for i, cores in enumerate(cpulists)})


def test_each_memory_node_with_cores_of_ours_is_a_device(tmp_path: Path) -> None:
    mine = sorted(os.sched_getaffinity(0))
    first, rest = mine[:1], mine[1:] or [mine[0] + 1]
    root = nodes(tmp_path, core_ranges(first), core_ranges([*rest, 9000]), "9001", "")
    found = cpu_devices((), root, by_node=True)
    expected = [tuple(first), tuple(mine[1:])] if mine[1:] else [tuple(mine)]
    assert [device.cores for device in found] == expected
    assert [device.cores for device in cpu_devices((), root)] == [tuple(mine)]


def test_one_memory_node_is_one_device(tmp_path: Path) -> None:
    (device,) = cpu_devices((), nodes(tmp_path, "0-9999"), by_node=True)
    assert (device.cores, device.numa_node) == (tuple(sorted(os.sched_getaffinity(0))), 0)


def test_partitions_beat_memory_nodes(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    parts = (CpuPartition(cores=(core,)),)
    assert [device.cores for device in cpu_devices(parts, nodes(tmp_path, "0", "1"), by_node=True)] == [(core,)]
