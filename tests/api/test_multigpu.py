"""GET /api/multigpu/...: devices, replicas and plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pollama.api.services import Services
from pollama.types.devices import Device, DeviceUse, Link
from pollama.types.multigpu import MultiGpu
from pollama.types.plans import Plan, PlanPreview, Share
from pollama.types.ports import Resident
from tests.api.conftest import Api
from tests.api.fakes import make_model

CORE = Device(
    id="cpu:0", kind="cpu", name="CPU (cores 0)", total_bytes=100, free_bytes=80, limit_bytes=40, cores=(0,)
)  # fmt: skip
GPU = Device(
    id="GPU-1", kind="cuda", name="H100", total_bytes=1000, free_bytes=900, driver="570.1", compute_capability="9.0"
)
SHARE = Share(device="cpu:0", layers=3, weight_bytes=5, kv_bytes=6, compute_bytes=7)
PLAN = Plan(
    shares=(SHARE,),
    sequences=2,
    context_length=4096,
    cells=8192,
    shared_cells=False,
    batch=512,
    gpu_layers=0,
    reason="all on cpu:0",
)
PLAN_RECORD = {
    "shares": [{"device": "cpu:0", "layers": 3, "weights": 5, "kv_cache": 6, "compute": 7}],
    "size": 18,
    "context_length": 4096,
    "sequences": 2,
    "cells": 8192,
    "shared_cells": False,
    "batch": 512,
    "gpu_layers": 0,
    "reason": "all on cpu:0",
}


def links(devices: Sequence[Device]) -> list[Link]:
    return [Link(first=devices[0].id, second=devices[1].id, kind="numa", distance=21)]


@pytest.fixture
def services(services: Services) -> Services:
    return replace(services, links=links, multi_gpu=MultiGpu(enabled=True, strategy="data", replicas=2))


async def get(api: Api, path: str) -> Any:
    answer = await api.get(f"/api/multigpu/{path}")
    assert answer.status == 200
    return json.loads(answer.body)


def resident(number: int, *, in_use: int = 0, state: Any = "ready") -> Resident:
    return Resident(
        model=make_model(),
        plan=PLAN,
        info=None,
        expires_at=1_700_000_000,
        total_bytes=18,
        gpu_bytes=0,
        in_use=in_use,
        replica=number,
        state=state,
    )


async def test_topology_shows_devices_and_links(api: Api) -> None:
    api.scheduler.known_devices = [DeviceUse(device=device, free_bytes=1, replicas=0) for device in (CORE, GPU)]
    assert await get(api, "topology") == {
        "devices": [
            {
                "id": "cpu:0",
                "kind": "cpu",
                "name": "CPU (cores 0)",
                "memory_total": 100,
                "cores": [0],
                "memory_limit": 40,
            },
            {
                "id": "GPU-1",
                "kind": "cuda",
                "name": "H100",
                "memory_total": 1000,
                "driver": "570.1",
                "compute_capability": "9.0",
            },
        ],
        "links": [{"from": "cpu:0", "to": "GPU-1", "kind": "numa", "distance": 21}],
    }


async def test_status_shows_settings_and_what_is_on_the_devices(api: Api) -> None:
    api.scheduler.known_devices = [DeviceUse(device=CORE, free_bytes=22, replicas=1)]
    api.scheduler.resident = [resident(1, in_use=2), resident(2, state="loading")]
    api.scheduler.waiting = 3
    status = await get(api, "status")
    assert (status["enabled"], status["strategy"]) == (True, "data")
    assert status["data_parallel"] == {"replicas": 2, "load_balancing": "least_loaded"}
    assert [(device["memory_free"], device["replicas"]) for device in status["devices"]] == [(22, 1)]
    first = {"id": 1, "state": "ready", "devices": ["cpu:0"], "in_use": 2, "sequences": 2}
    second = {**first, "id": 2, "state": "loading", "in_use": 0}
    assert status["models"] == [{"name": "test:latest", "replicas": [first, second]}]
    assert status["queue"] == {"waiting": 3}


async def test_models_show_the_plan_of_each_replica(api: Api) -> None:
    api.scheduler.resident = [resident(1)]
    (model,) = (await get(api, "models"))["models"]
    (replica,) = model["replicas"]
    assert (model["name"], replica["size"], replica["size_vram"]) == ("test:latest", 18, 0)
    assert replica["expires_at"] == "2023-11-14T22:13:20Z"
    assert replica["plan"] == PLAN_RECORD


async def test_ps_shows_a_model_once_with_all_its_bytes(api: Api) -> None:
    api.scheduler.resident = [resident(1), resident(2)]
    (model,) = json.loads((await api.get("/api/ps")).body)["models"]
    assert model["size"] == 36


class TestPlan:
    async def test_a_plan_has_one_record_per_replica(self, api: Api) -> None:
        api.library.model = make_model()
        api.scheduler.planned = PlanPreview(plans=(PLAN, PLAN), fits_now=True)
        assert await get(api, "plan?model=test") == {
            "model": "test:latest",
            "possible": True,
            "fits_now": True,
            "replicas": [PLAN_RECORD, PLAN_RECORD],
        }

    async def test_the_parameters_of_the_model_count(self, api: Api) -> None:
        model = make_model()
        api.library.model = replace(model, stored=replace(model.stored, parameters={"num_ctx": 77}))
        await get(api, "plan?model=test")
        assert [options.num_ctx for _, options in api.scheduler.asked] == [77]

    async def test_a_refusal_has_its_reason(self, api: Api) -> None:
        api.library.model = make_model()
        api.scheduler.planned = PlanPreview(refusal="model requires more memory (5.0 GiB)")
        plan = await get(api, "plan?model=test")
        assert (plan["possible"], plan["reason"]) == (False, "model requires more memory (5.0 GiB)")

    @pytest.mark.parametrize(
        ("query", "status", "text"), [("", 400, "model is required"), ("?model=gone", 404, "model 'gone' not found")]
    )
    async def test_a_model_must_be_named_and_there(self, api: Api, query: str, status: int, text: str) -> None:
        answer = await api.get(f"/api/multigpu/plan{query}")
        assert (answer.status, json.loads(answer.body)["error"]) == (status, text)
