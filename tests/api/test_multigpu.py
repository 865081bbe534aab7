"""GET /api/multigpu/...: devices, replicas and plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pollama.api.multigpu import encode
from pollama.api.services import Services
from pollama.types.devices import Device, DeviceUse, Link, Telemetry
from pollama.types.events import Done
from pollama.types.generation import RunnerStatus
from pollama.types.multigpu import Wish
from pollama.types.plans import Alternative, Move, Plan, PlanPreview, Share
from pollama.types.ports import Resident
from pollama.types.requests import EmbedRequest
from pollama.types.speed import Percentiles, Speed
from tests.api.conftest import Api
from tests.api.fakes import FakeSettings, FakeSteering, make_model

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
    tokens_per_second=12.5,
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
    "split": "none",
    "throughput": 12.5,
    "reason": "all on cpu:0",
}


def links(devices: Sequence[Device]) -> list[Link]:
    return [Link(first=devices[0].id, second=devices[1].id, kind="numa", distance=21)]


async def telemetry() -> list[Telemetry]:
    return [Telemetry(device="GPU-1", time=1.0, utilisation=87.5, memory_used=600, power=310.0, temperature=61.0)]


STEERING = FakeSteering()


@pytest.fixture(autouse=True)
def fresh_steering() -> None:
    STEERING.__init__()  # type: ignore[misc]


@pytest.fixture
def services(services: Services) -> Services:
    return replace(services, links=links, telemetry=telemetry, steering=STEERING, settings=FakeSettings())


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


def test_what_is_known_of_a_device_and_a_link_is_shown() -> None:
    facts: dict[str, Any] = {
        "vendor": "nvidia",
        "uuid": "GPU-1",
        "pci_address": "0000:01:00.0",
        "pcie_generation": 5,
        "pcie_width": 16,
    }
    measured: dict[str, Any] = {"numa_node": 0, "bandwidth": 2e12, "compute": 4e14}
    shown = encode.device(replace(GPU, power_watts=700.0, cache_bytes=50, **facts, **measured))
    assert shown.items() >= {**facts, **measured, "power_limit": 700, "cache": 50}.items()
    link = Link(first="GPU-1", second="cpu:0", kind="pcie", bandwidth=24e9, latency=9e-6)
    assert encode.link(link) == {"from": "GPU-1", "to": "cpu:0", "kind": "pcie", "bandwidth": 24e9, "latency": 9e-6}


async def test_status_shows_settings_and_what_is_on_the_devices(api: Api) -> None:
    api.scheduler.known_devices = [DeviceUse(device=CORE, free_bytes=22, replicas=1)]
    api.scheduler.resident = [resident(1, in_use=2), resident(2, state="loading")]
    api.scheduler.waiting = 3
    status = await get(api, "status")
    assert (status["enabled"], status["strategy"]) == (True, "data")
    assert status["data_parallel"] == {"replicas": 2}
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
    assert "kv_cache" not in replica, "the replica does not answer"


async def test_models_show_what_the_caches_hold(api: Api) -> None:
    api.scheduler.resident = [resident(1)]
    STEERING.known = {
        1: RunnerStatus(state="ready", cells_used=7, cached_tokens=5, prompts=3, prefix_hits=2, prefix_tokens=40)
    }
    (replica,) = (await get(api, "models"))["models"][0]["replicas"]
    assert replica["kv_cache"] == {"cells": 8192, "used": 7, "cached_tokens": 5}
    assert replica["prefix_cache"] == {"prompts": 3, "hits": 2, "tokens": 40}


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
            "alternatives": [],
        }

    async def test_what_else_was_weighed_is_told(self, api: Api) -> None:
        api.library.model = make_model()
        other = Alternative(strategy="pipeline", plans=(PLAN,), tokens_per_second=9.123, reason="slower")
        api.scheduler.planned = PlanPreview(plans=(PLAN,), alternatives=(other,))
        assert (await get(api, "plan?model=test"))["alternatives"] == [
            {
                "strategy": "pipeline",
                "throughput": 9.12,
                "reason": "slower",
                "replicas": [[{"device": "cpu:0", "layers": 3}]],
            }
        ]

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


MOVE = Move(model="test:latest", replica=1, source=("cpu:0",), target=("cpu:1",), state="loading", reason="asked for")
MOVE_RECORD = {
    "model": "test:latest",
    "replica": 1,
    "from": ["cpu:0"],
    "to": ["cpu:1"],
    "state": "loading",
    "reason": "asked for",
}


async def test_performance_has_the_promised_names(api: Api) -> None:
    api.scheduler.resident = [resident(1), resident(2, state="loading")]
    first_token = Percentiles(p50=0.1, p95=0.2, p99=0.3)
    speed = Speed(throughput=40, first_token=first_token, requests=7)
    STEERING.known = {1: RunnerStatus(state="ready", threads=3, speed=speed)}
    performance = await get(api, "performance")
    (model,) = performance["models"]
    (replica,) = model["replicas"]
    assert (model["throughput"], model["predicted_throughput"]) == (40, 12.5)
    assert replica["latency"]["first_token"] == {"p50": 100, "p95": 200, "p99": 300}
    assert replica["threads"] == 3
    (device,) = performance["devices"]
    assert {name: device[name] for name in ("gpu_util", "memory_usage", "power_draw", "temperature")} == {
        "gpu_util": 87.5,
        "memory_usage": 600,
        "power_draw": 310,
        "temperature": 61,
    }


async def test_a_rebalance_tells_its_moves_and_status_shows_them(api: Api) -> None:
    STEERING.begun = [MOVE]
    answer = await api.post("/api/multigpu/rebalance")
    assert (answer.status, json.loads(answer.body)) == (200, {"moves": [MOVE_RECORD]})
    assert (await get(api, "status"))["moves"] == [MOVE_RECORD]


class TestMigrate:
    async def test_a_replica_is_sent_to_devices(self, api: Api) -> None:
        api.library.model = make_model()
        STEERING.begun = [MOVE]
        answer = await api.post("/api/multigpu/migrate", {"model": "test", "devices": ["cpu:1"], "replica": 1})
        assert (answer.status, json.loads(answer.body)) == (200, MOVE_RECORD)
        assert STEERING.asked == [("test:latest", ("cpu:1",), 1)]

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ("{", "the body is not as it should be"),
            ("", "the body is not as it should be"),
            ({"devices": ["cpu:1"]}, "missing required field `model`"),
            ({"model": "test", "devices": []}, "devices is empty"),
            ({"model": "test", "devices": "cpu:1"}, "Expected `array`, got `str` - at `$.devices`"),
            ({"model": "test", "devices": ["cpu:1"], "to": "x"}, "unknown field `to`"),
        ],
    )
    async def test_a_wrong_body_is_refused_by_field(self, api: Api, body: Any, text: str) -> None:
        answer = await api.post("/api/multigpu/migrate", body)
        assert answer.status == 400
        assert text in json.loads(answer.body)["error"]


class TestConfig:
    async def test_settings_are_changed_and_shown(self, api: Api) -> None:
        answer = await api.send("PUT", "/api/multigpu/config", {"multi_gpu": {"strategy": "pipeline"}})
        assert answer.status == 200
        assert json.loads(answer.body) == await get(api, "config") == {"multi_gpu": {"strategy": "pipeline"}}

    @pytest.mark.parametrize("body", ["", "[]", "{", "{}"])
    async def test_a_wrong_body_is_refused(self, api: Api, body: str) -> None:
        assert (await api.send("PUT", "/api/multigpu/config", body)).status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/generate", {"prompt": "x"}), ("/api/chat", {"messages": [{"role": "user", "content": "x"}]})],
)
async def test_a_request_says_what_it_wants_of_the_devices(api: Api, path: str, body: dict[str, Any]) -> None:
    asked = {"strategy": "tensor_parallel", "gpu_selection": "auto", "performance_profile": "balanced"}
    api.inference.events = [Done(reason="stop", prompt_tokens=1)]
    answer = await api.post(path, {"model": "test", "stream": False, "multi_gpu": asked, **body})
    assert answer.status == 200, answer.body
    (request,) = api.inference.requests
    assert not isinstance(request, EmbedRequest)
    assert request.wish == Wish(strategy="tensor", devices=None, profile="balanced")
