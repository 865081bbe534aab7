"""The commands that users of several devices know, as they are written: each one does what it says."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from pollama.types.json import Json
from tests.cli.conftest import Cli
from tests.cli.scripted import Script

SIZES = ("7B", "13B", "30B", "70B")
DEVICES: list[Json] = [{"id": f"GPU-{number}", "kind": "cuda"} for number in range(4)]
SHARE: Json = {"device": "GPU-0", "layers": 9, "weights": 3 << 20, "kv_cache": 2 << 20, "compute": 1 << 20}
REPLICA: Json = {"id": 1, "devices": ["GPU-0"], "plan": {"shares": [SHARE], "cells": 4096}}


@pytest.fixture(autouse=True)
def answers(script: Script) -> None:
    """A server with four GPUs, a model of each size, and nothing to move."""
    tags = [{"name": f"m:{size.lower()}", "details": {"parameter_size": size}} for size in SIZES]
    names = ["demo:latest", *(tag["name"] for tag in tags)]
    script.on("GET /api/multigpu/topology", {"devices": DEVICES, "links": []})
    script.on("GET /api/multigpu/status", {"enabled": True})
    script.on("GET /api/multigpu/models", {"models": [{"name": name, "replicas": [REPLICA]} for name in names]})
    script.on("GET /api/tags", {"models": tags})
    script.on("POST /api/generate", {"done": True, "eval_count": 3})
    script.on("PUT /api/multigpu/config", {})
    script.on("POST /api/multigpu/rebalance", {"moves": []})


def measured(cli: Cli, script: Script, line: str) -> tuple[str, list[tuple[str, Any]]]:
    """Run a benchmark; return its table, and the models with the wishes that it asked for."""
    outcome = cli(*shlex.split(line)[1:])
    assert (outcome.status, outcome.err) == (0, "")
    bodies = [body for body in script.bodies("/api/generate") if "multi_gpu" in body]
    asked = [(body["model"], body["multi_gpu"]) for body in bodies]
    return outcome.out, [pair for number, pair in enumerate(asked) if pair not in asked[:number]]


@pytest.mark.parametrize(
    ("line", "strategy", "devices"),
    [
        ("pollama benchmark --multi-gpu --strategy=tensor_parallel --gpus=4", "tensor", 4),
        ("pollama benchmark --multi-gpu --strategy=pipeline_parallel --stages=2", "pipeline", 2),
        ("pollama benchmark --multi-gpu --strategy=hybrid --tensor-size=2 --pipeline-size=2", "hybrid", 4),
    ],
)
def test_strategies_are_measured_on_so_many_devices(
    cli: Cli, script: Script, line: str, strategy: str, devices: int
) -> None:
    table, asked = measured(cli, script, line)
    chosen = [f"GPU-{number}" for number in range(devices)]
    assert asked == [("demo", {"strategy": strategy, "gpu_selection": chosen})]
    assert "TOKENS/S" in table


def test_latency_is_shown_by_number_of_clients(cli: Cli, script: Script) -> None:
    table, _ = measured(cli, script, "pollama benchmark --latency --multi-gpu --batch-sizes=1,4,16,64")
    header, *rows = table.splitlines()
    assert "FIRST p50" in header
    assert [row.split()[3] for row in rows] == ["1", "4", "16", "64"]


def test_latency_is_shown_by_size_of_the_model(cli: Cli, script: Script) -> None:
    table, asked = measured(cli, script, "pollama benchmark --latency --model-sizes=7b,13b,30b,70b")
    assert [model for model, _ in asked] == ["m:7b", "m:13b", "m:30b", "m:70b"]
    assert "FIRST p50" in table


@pytest.mark.parametrize(
    ("flag", "columns"),
    [
        ("--kv-cache-distribution", "MODEL STRATEGY REPLICA DEVICE KV CACHE CELLS"),
        ("--cross-gpu-sharing", "MODEL STRATEGY REPLICA DEVICE LAYERS KV CACHE"),
    ],
)
def test_memory_is_shown_by_device(cli: Cli, script: Script, flag: str, columns: str) -> None:
    table, _ = measured(cli, script, f"pollama benchmark --memory {flag}")
    header, row = table.splitlines()
    assert " ".join(header.split()) == columns
    assert "GPU-0" in row


def test_settings_are_changed(cli: Cli, script: Script) -> None:
    assert cli("config", "set", "multi_gpu.enabled", "true").status == 0
    assert cli("config", "set", "multi_gpu.strategy", "hybrid").status == 0
    told = [{"multi_gpu": {"enabled": True}}, {"multi_gpu": {"strategy": "hybrid"}}]
    assert script.bodies("/api/multigpu/config") == told


def test_models_are_moved(cli: Cli, script: Script) -> None:
    assert cli("migrate-models", "--multi-gpu").status == 0
    assert [request.path for request in script.requests if request.method == "POST"] == ["/api/multigpu/rebalance"]
