"""Outputs of system_profiler and ioreg on Macs with Apple's chips, and on one with AMD's."""

from __future__ import annotations

import pytest

from pollama.discover.apple import apple_gpus, parse
from pollama.discover.gpus import Gpu, Sensors

M3_PRO = """{
  "SPDisplaysDataType" : [
    {
      "_name" : "Apple M3 Pro",
      "spdisplays_mtlgpufamilysupport" : "spdisplays_metal3",
      "spdisplays_ndrvs" : [ { "_name" : "Color LCD", "_spdisplays_displayID" : "1" } ],
      "spdisplays_vendor" : "sppci_vendor_Apple",
      "sppci_bus" : "spdisplays_builtin",
      "sppci_cores" : "18",
      "sppci_device_type" : "spdisplays_gpu",
      "sppci_model" : "Apple M3 Pro"
    }
  ]
}"""
VEGA = """{"SPDisplaysDataType": [{"_name": "Radeon Pro Vega 64", "spdisplays_vendor": "sppci_vendor_amd"}]}"""
REGISTRY = """\
+-o AGXAcceleratorG13X  <class AGXAcceleratorG13X, id 0x10000087c, registered, matched, active, busy 0 (17 ms)>
    {
      "IOMatchedAtBoot" = Yes
      "vendor-id" = <6b100000>
      "AGCInfo" = {"fLastSubmissionPID"=390,"fSubmissionsSinceLastCheck"=0,"fBusyCount"=0}
      "PerformanceStatistics" = {"TiledSceneBytes"=1572864,"Alloc system memory"=1214005248,"Tiler Utilization %"=2,\
"recoveryCount"=0,"Renderer Utilization %"=2,"SplitSceneCount"=0,"Device Utilization %"=7,\
"In use system memory"=340983808}
    }
"""


def test_a_mac() -> None:
    gpu = Gpu(vendor="apple", address="", name="Apple M3 Pro", sensors=Sensors(utilisation=7))
    assert parse(M3_PRO, REGISTRY) == [gpu]


@pytest.mark.parametrize("registry", ["", "+-o AGXAccelerator", '"Device Utilization %"=?'])
def test_a_load_that_is_not_told(registry: str) -> None:
    assert parse(M3_PRO, registry)[0].sensors == Sensors()


@pytest.mark.parametrize(
    "profile", ["", "{", "[]", "{}", '{"SPDisplaysDataType": 1}', '{"SPDisplaysDataType": [2]}', VEGA]
)
def test_no_gpu_of_apples(profile: str) -> None:
    assert parse(profile, REGISTRY) == []


def test_this_machine_may_be_no_mac() -> None:
    assert all(gpu.vendor == "apple" for gpu in apple_gpus())
