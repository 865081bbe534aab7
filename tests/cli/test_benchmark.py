"""``benchmark``: what its flags mean, and a run against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pollama.cli.benchmark.cases import Case, first_devices, models_of_sizes, numbers, strategies
from pollama.cli.errors import CliError
from pollama.types.json import Json
from tests.cli.conftest import Cli
from tests.cli.scripted import Script
from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import running_server

TOPOLOGY: Json = {"devices": [{"id": "cpu:0", "kind": "cpu"}, {"id": "GPU-1", "kind": "cuda"}]}
TAGS: Json = {
    "models": [
        {"name": "new:7b", "details": {"parameter_size": "7B"}},
        {"name": "old:7b", "details": {"parameter_size": "7B"}},
        {"name": "big:13b", "details": {"parameter_size": "13B"}},
    ]
}


def test_lists_of_numbers_and_strategies() -> None:
    assert numbers("batch-sizes", "1,4,16") == [1, 4, 16]
    assert strategies("data, tensor_parallel") == ["data", "tensor"]


@pytest.mark.parametrize("text", ["", "0", "-1", "1,x", "1.5"])
def test_a_wrong_number_is_refused_by_flag(text: str) -> None:
    with pytest.raises(CliError, match="--batch-sizes must be a list of numbers"):
        numbers("batch-sizes", text)


def test_gpus_come_first_and_no_more_than_there_are() -> None:
    assert first_devices(TOPOLOGY, 1) == ("GPU-1",)
    assert first_devices(TOPOLOGY, 0) == ()
    with pytest.raises(CliError, match="3 devices are asked for, the server has 2"):
        first_devices(TOPOLOGY, 3)


def test_models_are_found_by_size_the_newest_of_each() -> None:
    assert models_of_sizes(TAGS, "7b, 13b") == ["new:7b", "big:13b"]
    with pytest.raises(CliError, match=r"no stored model has 70B parameters \(stored: 13B, 7B\)"):
        models_of_sizes(TAGS, "70b")


def test_a_case_asks_for_its_devices() -> None:
    assert Case("m", "data", ()).wish == {"strategy": "data", "gpu_selection": "auto"}
    assert Case("m", "data", ("a",)).wish == {"strategy": "data", "gpu_selection": ["a"]}


def test_what_the_server_refuses_is_told(cli: Cli, script: Script) -> None:
    script.on("GET /api/multigpu/topology", TOPOLOGY)
    script.on("POST /api/generate", {"error": "model 'demo' not found"}, status=404)
    outcome = cli("benchmark")
    assert (outcome.status, outcome.err) == (1, "Error: model 'demo' not found\n")
    assert "--strategy must be one of auto" in cli("benchmark", "--strategy", "warp").err


def test_what_is_loaded_already_is_not_measured_for_another_strategy(cli: Cli, script: Script) -> None:
    script.on("GET /api/multigpu/topology", TOPOLOGY)
    script.on("GET /api/multigpu/status", {"enabled": False})
    script.on("GET /api/multigpu/models", {"models": []})
    script.on("POST /api/generate", {"done": True, "eval_count": 3})
    outcome = cli("benchmark", "--strategy", "data,auto", "--batch-sizes", "1,2", "--rounds", "1")
    assert outcome.status == 0
    assert "multi_gpu.enabled is false" in outcome.err
    asked = script.bodies("/api/generate")
    begins = [number for number, body in enumerate(asked) if body.get("keep_alive") == 0]
    assert begins == [0, 6], "two numbers of clients, each with a request to warm up, make five requests"


def test_a_server_is_measured(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        create_from_file(server, "probe", MODELS / "probe.gguf")
        flags = ["--model", "probe", "--batch-sizes", "1,2", "--tokens", "8", "--rounds", "1", "--json"]
        environment = {**os.environ, "OLLAMA_HOST": server.url, "HOME": str(tmp_path)}
        command = [sys.executable, "-m", "pollama", "benchmark", *flags]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    one, two = json.loads(ended.stdout)
    assert (one["clients"], two["clients"]) == (1, 2)
    assert one["throughput"] == pytest.approx(one["tokens"] / one["seconds"])
    assert 0 < two["first_token"]["p50"] <= two["first_token"]["p99"]
    assert [replica["in_use"] for replica in two["replicas"]] == [0]
