"""From a plan to the processes that carry it out."""

from __future__ import annotations

from typing import Any

import pytest

from pollama.scheduler.loading import load_spec
from pollama.scheduler.policy import Policy
from pollama.types.devices import Device
from pollama.types.plans import LoadSpec, Plan, Share, Stage, Worker
from tests.scheduler.support import cpu, gpu, make_model, make_options, make_spec

FIRST, SECOND, THIRD = (cpu(name=f"cpu:{core}", cores=(core,)) for core in (1, 0, 5))
WIDE = cpu(name="cpu:8-11", cores=(8, 9, 10, 11))


def loaded(*shares: tuple[Device, int], **plan: Any) -> LoadSpec:
    """Return the load of a plan with these devices and layers."""
    model = make_model(spec=make_spec(layers=20))
    parts = tuple(
        Share(device=device.id, layers=layers, weight_bytes=1, kv_bytes=1, compute_bytes=1) for device, layers in shares
    )
    settings = {"sequences": 1, "context_length": 512, "cells": 512, "shared_cells": False, "batch": 512, **plan}
    # The order in which devices are discovered is not the order of the stages.
    devices = sorted((device for device, _ in shares), key=lambda device: device.id)
    return load_spec(model, make_options(), Plan(shares=parts, **settings), devices, Policy(), mapped_bytes=0)


def in_worker(device: Device, layers: int, *, threads: int = 1, name: str = "CPU") -> Stage:
    return Stage(
        engine_device=name, layers=layers, worker=Worker(device=device.id, cores=device.cores, threads=threads)
    )


def test_the_first_of_several_cpu_devices_is_the_runner_s_own_and_the_others_are_workers() -> None:
    spec = loaded((FIRST, 4), (WIDE, 9), (SECOND, 8), split="layer", gpu_layers=0)
    assert spec.cores == FIRST.cores
    assert spec.stages == (in_worker(WIDE, 9, threads=4), in_worker(SECOND, 8))


def test_chosen_threads_count_for_workers_too() -> None:
    spec = loaded((FIRST, 4), (WIDE, 17), split="layer", gpu_layers=0, threads=2)
    assert spec.stages == (in_worker(WIDE, 17, threads=2),)


def test_gpus_of_the_first_kind_are_the_runner_s_own() -> None:
    spec = loaded((gpu(0), 5), (gpu(1), 6), (gpu(0, kind="rocm"), 10), split="layer", gpu_layers=21)
    assert spec.stages == (
        Stage(engine_device="CUDA0", layers=5),
        Stage(engine_device="CUDA1", layers=6),
        in_worker(gpu(0, kind="rocm"), 10, name="ROCM0"),
    )


def test_the_cpu_beside_gpus_holds_its_blocks_in_the_runner() -> None:
    spec = loaded((gpu(0), 15), (WIDE, 6), gpu_layers=15)
    assert spec.stages == (Stage(engine_device="CUDA0", layers=15),)
    assert spec.cores == WIDE.cores


def test_cpu_devices_joined_to_one_engine_need_no_worker() -> None:
    spec = loaded((FIRST, 21), (SECOND, 21), (THIRD, 21), split="tensor", gpu_layers=0)
    assert spec.stages == ()
    assert spec.cores == (0, 1, 5)


@pytest.mark.parametrize("device", [FIRST, WIDE])
def test_one_cpu_device_alone_has_no_stages(device: Device) -> None:
    spec = loaded((device, 21), gpu_layers=0)
    assert (spec.stages, spec.cores) == ((), device.cores)
