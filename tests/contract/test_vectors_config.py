"""Ollama's reading of its environment variables, value by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollama.config import Config, clean
from pollama.types.address import ServerAddress
from pollama.types.requests import FOREVER
from tests.contract.vectors import Vector, as_text, load_vectors, vector_id

_MAX_NANOSECONDS = 2**63 - 1


def _nanoseconds(seconds: float) -> str:
    return str(_MAX_NANOSECONDS if seconds == FOREVER else round(seconds * 1e9))


def _address(address: ServerAddress) -> dict[str, str]:
    return {"scheme": address.scheme, "host": address.netloc, "path": address.path, "string": address.url}


SETTINGS: dict[str, Callable[[Config], Any]] = {
    "AllowedOrigins": lambda config: list(config.allowed_origins),
    "CloudBaseURL": lambda config: config.cloud_base_url,
    "ConnectableHost": lambda config: _address(config.host.connectable()),
    "ContextLength": lambda config: str(config.context_length),
    "DebugLogRequests": lambda config: config.debug_log_requests,
    "EnableIntegratedGPU": lambda config: config.igpu_enable,
    "EnableVulkan": lambda config: config.vulkan,
    "FlashAttention": lambda config: config.flash_attention,
    "GoTemplate": lambda config: config.go_template,
    "GpuOverhead": lambda config: str(config.gpu_overhead),
    "Host": lambda config: _address(config.host),
    "KeepAlive": lambda config: {"ns": _nanoseconds(config.keep_alive)},
    "KvCacheType": lambda config: config.kv_cache_type,
    "LLMLibrary": lambda config: config.llm_library,
    "LoadTimeout": lambda config: {"ns": _nanoseconds(config.load_timeout)},
    "LogLevel": lambda config: config.log_level,
    "MaxQueue": lambda config: str(config.max_queue),
    "MaxRunners": lambda config: str(config.max_loaded_models),
    "MaxTransferStreams": lambda config: str(config.max_transfer_streams),
    "Models": lambda config: str(config.models),
    "NoCloudEnv": lambda config: config.no_cloud,
    "NoHistory": lambda config: config.no_history,
    "NoPrune": lambda config: config.no_prune,
    "NumParallel": lambda config: "1" if config.num_parallel is None else str(config.num_parallel),
    "Remotes": lambda config: list(config.remotes),
    "SchedSpread": lambda config: config.sched_spread,
    "UseAuth": lambda config: config.auth,
}


def _expected(vector: Vector) -> Any:
    output = vector["output"]
    if isinstance(output, dict) and "ns" in output:
        return {"ns": output["ns"]}
    return output


@pytest.mark.parametrize("vector", load_vectors("envconfig"), ids=vector_id)
def test_environment(vector: Vector) -> None:
    environ = {name: as_text(value) for name, value in vector["input"]["env"].items()}
    function = vector["input"]["fn"]
    if function == "Var":
        (text,) = environ.values()
        assert clean(text) == as_text(vector["output"])
        return
    value = SETTINGS[function](Config.load(environ | {"HOME": "/nonexistent"}))
    assert (vector["input"].get("default") if value is None else value) == _expected(vector)
