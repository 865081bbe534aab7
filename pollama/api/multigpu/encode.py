"""Records of /api/multigpu. Sizes in bytes; what is not known is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pollama.api import timestamps
from pollama.types.devices import Device, DeviceUse, Link
from pollama.types.generation import RunnerStatus
from pollama.types.json import Json
from pollama.types.plans import Alternative, Move, Plan, PlanPreview, Share
from pollama.types.ports import Resident


def device(described: Device) -> dict[str, Json]:
    """Return what does not change of a device. Bandwidth in bytes/s, compute in operations/s, power in watts."""
    facts: dict[str, Json] = {
        "cores": list(described.cores),
        "memory_limit": described.limit_bytes,
        "driver": described.driver,
        "compute_capability": described.compute_capability,
        "integrated": described.integrated,
        "vendor": described.vendor,
        "uuid": described.uuid,
        "pci_address": described.pci_address,
        "pcie_generation": described.pcie_generation,
        "pcie_width": described.pcie_width,
        "cache": described.cache_bytes,
        "power_limit": described.power_watts,
        "bandwidth": described.bandwidth,
        "compute": described.compute,
    }
    return {
        "id": described.id,
        "kind": described.kind,
        "name": described.name,
        "memory_total": described.total_bytes,
        **({} if described.numa_node is None else {"numa_node": described.numa_node}),
        **{key: value for key, value in facts.items() if value},
    }


def device_use(use: DeviceUse) -> dict[str, Json]:
    """Return a device with what is on it; ``memory_free`` is what further models may take."""
    return {**device(use.device), "memory_free": use.free_bytes, "replicas": use.replicas}


def link(described: Link) -> dict[str, Json]:
    """Return what joins two devices. Bandwidth in bytes/s, latency in seconds."""
    facts: dict[str, Json] = {
        "distance": described.distance,
        "bandwidth": described.bandwidth,
        "latency": described.latency,
    }
    known = {key: value for key, value in facts.items() if value}
    return {"from": described.first, "to": described.second, "kind": described.kind, **known}


def loaded_model(replicas: Sequence[Resident]) -> dict[str, Json]:
    """Return a model with a line for each replica."""
    return {"name": replicas[0].model.stored.short_name, "replicas": list(map(_replica, replicas))}


def _replica(resident: Resident) -> dict[str, Json]:
    return {
        "id": resident.replica,
        "state": resident.state,
        "devices": [share.device for share in resident.plan.shares if share.layers],
        "in_use": resident.in_use,
        "sequences": resident.plan.sequences,
    }


def planned_model(replicas: Sequence[Resident], statuses: Mapping[int, RunnerStatus]) -> dict[str, Json]:
    """Return a model with everything that is known of each replica; ``statuses`` goes by their numbers."""
    stored = replicas[0].model.stored
    records = [_planned_replica(replica, statuses.get(replica.replica)) for replica in replicas]
    return {"name": stored.short_name, "digest": stored.digest, "replicas": records}


def _planned_replica(resident: Resident, status: RunnerStatus | None) -> dict[str, Json]:
    return {
        **_replica(resident),
        "size": resident.total_bytes,
        "size_vram": resident.gpu_bytes,
        "expires_at": timestamps.local(resident.expires_at),
        "plan": plan(resident.plan),
        **({} if status is None else caches(resident, status)),
    }


def caches(resident: Resident, status: RunnerStatus) -> dict[str, Json]:
    """Return how a replica uses its KV cells, and how often a prompt began with what they hold."""
    return {
        "kv_cache": {"cells": resident.plan.cells, "used": status.cells_used, "cached_tokens": status.cached_tokens},
        "prefix_cache": {"prompts": status.prompts, "hits": status.prefix_hits, "tokens": status.prefix_tokens},
    }


def preview(previewed: PlanPreview) -> dict[str, Json]:
    """Return what would be done: the plan of each replica and what else was weighed, or the reason of the refusal."""
    if previewed.refusal:
        return {"possible": False, "reason": previewed.refusal}
    return {
        "possible": True,
        "fits_now": previewed.fits_now,
        "replicas": list(map(plan, previewed.plans)),
        "alternatives": list(map(_alternative, previewed.alternatives)),
    }


def _alternative(weighed: Alternative) -> dict[str, Json]:
    return {
        "strategy": weighed.strategy,
        "throughput": round(weighed.tokens_per_second, 2),
        "reason": weighed.reason,
        "replicas": [[_stage(share) for share in planned.shares if share.layers] for planned in weighed.plans],
    }


def _stage(share: Share) -> dict[str, Json]:
    return {"device": share.device, "layers": share.layers}


def plan(planned: Plan) -> dict[str, Json]:
    """Return one plan; ``cells`` are shared by all sequences with ``shared_cells``."""
    return {
        "shares": list(map(_share, planned.shares)),
        "size": planned.total_bytes,
        "context_length": planned.context_length,
        "sequences": planned.sequences,
        "cells": planned.cells,
        "shared_cells": planned.shared_cells,
        "batch": planned.batch,
        "gpu_layers": planned.gpu_layers,
        "split": planned.split,
        "throughput": round(planned.tokens_per_second, 2),
        "reason": planned.reason,
    }


def _share(share: Share) -> dict[str, Json]:
    return {
        "device": share.device,
        "layers": share.layers,
        "weights": share.weight_bytes,
        "kv_cache": share.kv_bytes,
        "compute": share.compute_bytes,
    }


def move(begun: Move) -> dict[str, Json]:
    """Return a replica on its way; ``to`` null: it only leaves."""
    return {
        "model": begun.model,
        "replica": begun.replica,
        "from": list(begun.source),
        "to": None if begun.target is None else list(begun.target),
        "state": begun.state,
        "reason": begun.reason,
    }
