"""What NVML answers on real machines, by the numbers that their nvidia-smi logs show; functions not listed raise."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pynvml

MIB = 1 << 20
Answers = Mapping[str, Any]


def memory(total: int, used: int, free: int) -> SimpleNamespace:
    return SimpleNamespace(total=total * MIB, used=used * MIB, free=free * MIB)


def pci(bus_id: str | bytes) -> SimpleNamespace:
    return SimpleNamespace(busId=bus_id)


def asked(name: str, *arguments: Any) -> str:
    return f"{name.removeprefix('nvmlDeviceGet')}({','.join(map(str, arguments))})"


def replay(answers: Answers, error: int = pynvml.NVML_ERROR_NOT_SUPPORTED) -> Any:
    """Return a query that answers as recorded. Handles are indexes; ``error`` is raised for everything else."""

    def query(name: str, *arguments: Any) -> Any:
        if name in ("nvmlInit", "nvmlShutdown"):
            return None
        if name == "nvmlDeviceGetHandleByIndex":
            return arguments[0]
        key = asked(name, *arguments)
        if key not in answers:
            raise pynvml.NVMLError(error)
        return answers[key]

    return query


def gpu(handle: int, **facts: Any) -> dict[str, Any]:
    """Answers about one GPU: keyword ``Name`` is what nvmlDeviceGetName says."""
    return {asked(f"nvmlDeviceGet{name}", handle): value for name, value in facts.items()}


def a5000(handle: int, address: bytes, uuid: bytes, node_free: int, power: int) -> dict[str, Any]:
    return gpu(
        handle,
        Name=b"NVIDIA RTX A5000",
        UUID=uuid,
        PciInfo=pci(address),
        MemoryInfo=memory(24564, 24564 - node_free, node_free),
        CudaComputeCapability=(8, 6),
        MaxPcieLinkGeneration=4,
        MaxPcieLinkWidth=16,
        EnforcedPowerLimit=230000,
        PowerUsage=power,
        UtilizationRates=SimpleNamespace(gpu=0, memory=0),
    ) | {f"Temperature({handle},0)": 13, f"ClockInfo({handle},1)": 210, f"ClockInfo({handle},2)": 405}


DUAL_A5000: Answers = {
    "Count()": 2,
    "nvmlSystemGetDriverVersion()": b"590.44.01",
    **a5000(0, b"00000000:81:00.0", b"GPU-12345678-aaaa-bbbb-cccc-0123456789ab", 1678, 6410),
    **a5000(1, b"00000000:C1:00.0", b"GPU-12345678-aaaa-bbbb-cccc-0123456789ac", 20000, 7020),
}
"""Workstation, driver 590, GPUs idle, binding that leaves texts as bytes, no NVLink bridge."""

GT_1030: Answers = {
    "Count()": 1,
    "nvmlSystemGetDriverVersion()": "470.74",
    "ClockInfo(0,1)": 1265,
    "ClockInfo(0,2)": 3003,
    "Temperature(0,0)": 36,
    **gpu(
        0,
        Name="NVIDIA GeForce GT 1030",
        UUID="GPU-857c6374-f681-cf3a-f99f-9063a87b8ac0",
        PciInfo=pci("00000000:2D:00.0"),
        MemoryInfo=memory(1998, 875, 1123),
        CudaComputeCapability=(6, 1),
        MaxPcieLinkGeneration=3,
        MaxPcieLinkWidth=4,
        EnforcedPowerLimit=30000,
        UtilizationRates=SimpleNamespace(gpu=0, memory=3),
    ),
}
"""Small consumer GPU: tells no power, has no MIG and no NVLink."""

A100_MIG: Answers = {
    "Count()": 1,
    "nvmlSystemGetDriverVersion()": "535.54.03",
    "Temperature(0,0)": 27,
    "ClockInfo(0,1)": 1275,
    "ClockInfo(0,2)": 1593,
    **gpu(
        0,
        Name="NVIDIA A100-SXM4-80GB",
        UUID="GPU-513536b6-7d19-9063-b049-1e69664bb298",
        PciInfo=pci("00000000:01:00.0"),
        MemoryInfo=memory(81920, 50, 80999),
        CudaComputeCapability=(8, 0),
        MaxPcieLinkGeneration=4,
        MaxPcieLinkWidth=16,
        EnforcedPowerLimit=500000,
        PowerUsage=67030,
        MigMode=[1, 1],
        MaxMigDeviceCount=7,
    ),
    **{f"MigDeviceHandleByIndex(0,{index})": 100 + index for index in range(4)},
    **{f"MemoryInfo({100 + index})": memory(19968, 12, 19955 - index) for index in range(4)},
    **{f"UUID({100 + index})": f"MIG-{index}" for index in range(4)},
}
"""Server GPU divided into four: tells no load, and three of seven places are empty."""


def nvlinks(handle: int, ends: list[str], version: int, *, off: int = 0) -> dict[str, Any]:
    """NVLinks of a GPU by the PCI addresses at their ends; ``off`` more that are not connected."""
    return {
        **{f"NvLinkState({handle},{link})": int(link < len(ends)) for link in range(len(ends) + off)},
        **{f"NvLinkRemotePciInfo({handle},{link})": pci(end) for link, end in enumerate(ends)},
        **{f"NvLinkVersion({handle},{link})": version for link in range(len(ends))},
    }


BRIDGED_A5000: Answers = {
    **DUAL_A5000,
    "P2PStatus(0,1,2)": 0,
    "P2PStatus(0,1,1)": 0,
    **nvlinks(0, ["00000000:C1:00.0"] * 4, 3),
    **nvlinks(1, ["00000000:81:00.0"] * 4, 3),
}
"""The same with an NVLink bridge: four links of the third version."""

SWITCHED_H100: Answers = {
    "Count()": 2,
    **gpu(0, PciInfo=pci("00000000:1B:00.0"), MaxPcieLinkGeneration=5, MaxPcieLinkWidth=16),
    **gpu(1, PciInfo=pci("00000000:43:00.0"), MaxPcieLinkGeneration=5, MaxPcieLinkWidth=16),
    "P2PStatus(0,1,2)": 0,
    **nvlinks(0, [f"00000000:0{3 + link % 4}:00.0" for link in range(18)], 4),
    **nvlinks(1, [f"00000000:0{3 + link % 4}:00.0" for link in range(18)], 4),
}
"""Two GPUs on NVSwitches: 18 links each, none of which ends at the other GPU."""
