"""GET /api/multigpu/performance: what was predicted, what was measured, how the devices are doing.

``throughput`` is tokens/s, ``latency`` milliseconds, ``gpu_util`` percent, ``memory_usage`` bytes, ``power_draw``
watts, ``temperature`` degrees Celsius. What a device does not tell is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from pollama.api.multigpu import encode
from pollama.api.multigpu.views import json_answer
from pollama.api.residents import by_model
from pollama.api.services import SERVICES
from pollama.types.devices import Telemetry
from pollama.types.generation import RunnerStatus
from pollama.types.json import Json
from pollama.types.ports import Resident
from pollama.types.speed import Percentiles, Speed


async def performance(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/performance."""
    services = request.app[SERVICES]
    statuses = await services.steering.statuses()
    devices = await services.telemetry()
    loaded = by_model(services.scheduler.residents())
    return json_answer(
        {"models": [_model(replicas, statuses) for replicas in loaded], "devices": list(map(_device, devices))}
    )


def _model(replicas: Sequence[Resident], statuses: Mapping[int, RunnerStatus]) -> dict[str, Json]:
    measured = [(replica, statuses[replica.replica]) for replica in replicas if replica.replica in statuses]
    records = [_replica(replica, status) for replica, status in measured]
    return {
        "name": replicas[0].model.stored.short_name,
        "throughput": round(sum(_speed(status).throughput for _, status in measured), 2),
        "predicted_throughput": round(sum(replica.plan.tokens_per_second for replica, _ in measured), 2),
        "replicas": records,
    }


def _replica(replica: Resident, status: RunnerStatus) -> dict[str, Json]:
    speed = _speed(status)
    return {
        "id": replica.replica,
        "devices": [share.device for share in replica.plan.shares if share.layers],
        "throughput": round(speed.throughput, 2),
        "predicted_throughput": round(replica.plan.tokens_per_second, 2),
        "latency": {"first_token": _milliseconds(speed.first_token), "token": _milliseconds(speed.token)},
        "requests": speed.requests,
        "running": status.running,
        "waiting": status.waiting,
        "threads": status.threads,
        "busy_seconds": round(status.busy_seconds, 3),
        "tokens": {"prefill": status.prefill_tokens, "decoded": status.decoded_tokens},
        **encode.caches(replica, status),
        "stages": [{"device": use.device, "busy_seconds": round(use.busy_seconds, 3)} for use in status.workers],
    }


def _speed(status: RunnerStatus) -> Speed:
    return status.speed or Speed()


def _milliseconds(found: Percentiles) -> dict[str, Json]:
    return {"p50": round(found.p50 * 1e3, 3), "p95": round(found.p95 * 1e3, 3), "p99": round(found.p99 * 1e3, 3)}


def _device(reading: Telemetry) -> dict[str, Json]:
    return {
        "id": reading.device,
        "gpu_util": reading.utilisation,
        "memory_usage": reading.memory_used,
        "power_draw": reading.power,
        "temperature": reading.temperature,
        "clock": reading.clock,
        "memory_clock": reading.memory_clock,
    }
