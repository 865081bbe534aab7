from __future__ import annotations

import pynvml
import pytest

from pollama.discover.gpus import Peer, Sensors
from pollama.discover.nvidia import nvidia_gpus, nvidia_peers, pci_address
from tests.discover.nvml import A100_MIG, BRIDGED_A5000, DUAL_A5000, GT_1030, MIB, SWITCHED_H100, replay


def test_a_workstation() -> None:
    first, second = nvidia_gpus(replay(DUAL_A5000))
    assert (first.vendor, first.address, first.name) == ("nvidia", "0000:81:00.0", "NVIDIA RTX A5000")
    assert (first.uuid, first.driver) == ("GPU-12345678-aaaa-bbbb-cccc-0123456789ab", "590.44.01")
    assert (first.total_bytes, first.free_bytes) == (24564 * MIB, 1678 * MIB)
    assert (first.compute_capability, first.pcie_generation, first.pcie_width) == ("8.6", 4, 16)
    assert first.power_watts == 230
    assert first.sensors == Sensors(utilisation=0, power=6.41, temperature=13, clock=210, memory_clock=405)
    assert (second.address, second.sensors.power, second.parts) == ("0000:c1:00.0", 7.02, ())


def test_a_gpu_that_tells_little() -> None:
    (gpu,) = nvidia_gpus(replay(GT_1030))
    assert gpu.sensors == Sensors(utilisation=0, temperature=36, clock=1265, memory_clock=3003)
    assert (gpu.power_watts, gpu.pcie_width, gpu.parts) == (30, 4, ())


def test_a_gpu_that_is_divided() -> None:
    (gpu,) = nvidia_gpus(replay(A100_MIG))
    assert gpu.sensors.utilisation is None
    assert [part.uuid for part in gpu.parts] == ["MIG-0", "MIG-1", "MIG-2", "MIG-3"]
    assert {part.total_bytes for part in gpu.parts} == {19968 * MIB}
    assert [part.free_bytes // MIB for part in gpu.parts] == [19955, 19954, 19953, 19952]


@pytest.mark.parametrize("lacking", sorted(A100_MIG))
def test_every_question_may_stay_unanswered(lacking: str) -> None:
    answers = {key: value for key, value in A100_MIG.items() if key != lacking}
    gpus = nvidia_gpus(replay(answers))
    assert len(gpus) == (0 if lacking in ("Count()", "PciInfo(0)") else 1)


@pytest.mark.parametrize("error", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNKNOWN])
def test_a_lost_gpu_is_no_gpu_and_the_others_stay(error: int) -> None:
    lost = {key: value for key, value in DUAL_A5000.items() if "(1" not in key}
    assert [gpu.address for gpu in nvidia_gpus(replay(lost, error))] == ["0000:81:00.0"]


def test_functions_that_an_old_binding_lacks_are_unanswered() -> None:
    answer = replay(DUAL_A5000)

    def query(name: str, *arguments: object) -> object:
        if name == "nvmlDeviceGetMigMode":
            raise AttributeError(name)
        return answer(name, *arguments)

    assert len(nvidia_gpus(query)) == 2


def test_without_a_driver_there_are_no_gpus() -> None:
    def query(name: str, *_: object) -> object:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    assert nvidia_gpus(query) == []
    assert nvidia_peers(query) == []


def test_the_library_of_this_machine_may_be_absent() -> None:
    assert all(gpu.address for gpu in nvidia_gpus())


def test_gpus_without_a_bridge_meet_in_the_memory_of_the_machine() -> None:
    (peer,) = nvidia_peers(replay(DUAL_A5000))
    assert peer == Peer(first="0000:81:00.0", second="0000:c1:00.0", kind="host", bandwidth=1.969e9 * 16)


def test_gpus_that_reach_each_other_over_pcie() -> None:
    (peer,) = nvidia_peers(replay({**DUAL_A5000, "P2PStatus(0,1,1)": 0, "P2PStatus(0,1,2)": 5}))
    assert peer.kind == "pcie"


def test_a_bridge_counts_its_links() -> None:
    (peer,) = nvidia_peers(replay(BRIDGED_A5000))
    assert (peer.kind, peer.bandwidth) == ("nvlink", 100e9)


def test_over_switches_all_links_lead_to_every_gpu() -> None:
    (peer,) = nvidia_peers(replay(SWITCHED_H100))
    assert (peer.kind, peer.bandwidth) == ("nvlink", 450e9)


@pytest.mark.parametrize("lacking", sorted(BRIDGED_A5000))
def test_links_may_stay_untold(lacking: str) -> None:
    answers = {key: value for key, value in BRIDGED_A5000.items() if key != lacking}
    assert all(peer.bandwidth >= 0 for peer in nvidia_peers(replay(answers)))


@pytest.mark.parametrize(
    ("bus_id", "address"), [("00000000:01:00.0", "0000:01:00.0"), ("00010000:AF:00.0", "10000:af:00.0")]
)
def test_pci_addresses(bus_id: str, address: str) -> None:
    assert pci_address(bus_id) == address
