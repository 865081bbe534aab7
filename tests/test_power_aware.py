"""``power_aware`` on what NVML and amdsmi told of real GPUs: the recorded limits decide what a model is placed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from pollama.discover.amd import parse
from pollama.discover.ggml import EngineDevice
from pollama.discover.merge import merge
from pollama.discover.nvidia import nvidia_gpus
from pollama.scheduler.fitting import Space
from pollama.scheduler.placement import place
from pollama.scheduler.policy import Policy
from pollama.types.devices import Device
from pollama.types.multigpu import Algorithm, MultiGpu
from pollama.types.plans import Plan
from tests.discover.nvml import DUAL_A5000
from tests.discover.nvml import replay as replay_nvml
from tests.discover.test_amd import W7700
from tests.scheduler.support import make_model, make_options

MIB: Final = 1 << 20
A5000, PRO_W7700 = "GPU-12345678-aaaa-bbbb-cccc-0123456789ac", "0000:c3:00.0"
ENGINE: Final = (
    EngineDevice(
        name="CUDA0", description="NVIDIA RTX A5000", kind="gpu", backend="CUDA",
        free_bytes=20000 * MIB, total_bytes=24564 * MIB, hardware_id="0000:c1:00.0",
    ),
    EngineDevice(
        name="ROCm0", description="AMD Radeon PRO W7700", kind="gpu", backend="ROCm",
        free_bytes=14799 * MIB, total_bytes=16368 * MIB, hardware_id="0000:c3:00.0",
    ),
)  # fmt: skip
SPEEDS: Final = {A5000: (768e9, 27.8e12), PRO_W7700: (576e9, 28.3e12)}
"""Memory bandwidth and operations per second by the makers' data sheets."""


def devices(nvml: Mapping[str, Any], amdsmi: Mapping[str, Any]) -> list[Device]:
    """Return the two GPUs as they were recorded, each with its speed."""
    amd = parse(amdsmi)
    assert amd is not None
    found = merge(ENGINE, [*nvidia_gpus(replay_nvml(nvml)), amd])
    assert [device.id for device in found] == [A5000, PRO_W7700]
    return [replace(gpu, bandwidth=SPEEDS[gpu.id][0], compute=SPEEDS[gpu.id][1]) for gpu in found]


def chosen(gpus: list[Device], algorithm: Algorithm) -> list[str]:
    """Return where the only replica of a model goes."""
    settings = MultiGpu(enabled=True, strategy="data", replicas=1, algorithm=algorithm)
    plan = place(make_model(), make_options(), [Space(gpu, gpu.free_bytes) for gpu in gpus], Policy(multi_gpu=settings))
    assert isinstance(plan, Plan), plan.reason
    return [share.device for share in plan.shares if share.layers]


def test_the_gpu_with_most_tokens_per_joule_is_chosen_and_not_the_faster_one() -> None:
    gpus = devices(DUAL_A5000, W7700)
    assert [gpu.power_watts for gpu in gpus] == [230, 150]
    assert chosen(gpus, "performance_aware") == [A5000]
    assert chosen(gpus, "power_aware") == [PRO_W7700]


@pytest.mark.parametrize(
    ("nvml", "amdsmi"),
    [
        ({**DUAL_A5000, "EnforcedPowerLimit(1)": 150_000}, W7700),
        (DUAL_A5000, {**W7700, "power_cap_info": {"power_cap": 190_000_000}}),
        (DUAL_A5000, {name: answer for name, answer in W7700.items() if name != "power_cap_info"}),
    ],
    ids=["NVML tells a lower limit", "amdsmi tells a higher cap", "amdsmi tells none"],
)
def test_other_readings_make_another_choice(nvml: Mapping[str, Any], amdsmi: Mapping[str, Any]) -> None:
    gpus = devices(nvml, amdsmi)
    assert chosen(gpus, "power_aware") == chosen(gpus, "performance_aware") == [A5000]
