"""What the planner's cost model says of what a server has really loaded, under the load that it really has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pollama.cli.house import paper_model
from pollama.models.gguf import read_header
from pollama.models.spec import model_spec
from pollama.scheduler.capacity import DEFAULT_BATCH, single
from pollama.scheduler.costs import Demand, Work, beside_front, engine_of
from pollama.scheduler.estimate import Footprint, footprint
from pollama.scheduler.speeds import Links
from pollama.types.devices import Device, Link
from pollama.types.model import Model
from pollama.types.plans import Plan, Share

Record = Mapping[str, Any]
KV_TYPE: Final = "f16"


def model_of(path: Path) -> Model:
    """Return the facts of a GGUF file."""
    return paper_model(path.stem, model_spec(read_header(path)), path)


def too_little(model: Model, context: int) -> int:
    """Return so many bytes that a good half of a model fits, and not the whole."""
    need = footprint(model, single(context, DEFAULT_BATCH), KV_TYPE, flash_attention=True)
    blocks = sum(need.weights) + sum(need.kv)
    return _fixed(need) + int(0.6 * blocks)


def _fixed(need: Footprint) -> int:
    return need.compute + need.logits + need.embedding


def predicted(model: Model, topology: Record, replicas: Sequence[Record], demand: Demand) -> float:
    """Return the tokens per second of loaded replicas, as /api/multigpu/models tells them, under a demand."""
    devices = {record["id"]: _device(record) for record in topology["devices"]}
    links = Links([_link(record) for record in topology["links"]])
    work = Work(model, KV_TYPE, demand)
    plans = _layouts([record["plan"] for record in replicas])
    engines = [engine_of(plan, devices, links, work.layers) for plan in plans]
    return work.rate_together(beside_front(plans, engines, devices))


def _layouts(records: Sequence[Record]) -> list[Plan]:
    """Return a plan per replica; the groups of one split, which are on the same devices, are one."""
    alike: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        alike.setdefault(holders(record), []).append(record)
    return [_plan(same[0], len(same)) for same in alike.values()]


def holders(plan: Record) -> tuple[str, ...]:
    """Return the devices that hold layers, in the order of the stages."""
    return tuple(share["device"] for share in plan["shares"] if share["layers"])


def _plan(record: Record, groups: int) -> Plan:
    return Plan(
        shares=tuple(_share(share) for share in record["shares"]),
        sequences=record["sequences"],
        context_length=record["context_length"],
        cells=record["cells"],
        shared_cells=record["shared_cells"],
        batch=record["batch"],
        gpu_layers=record["gpu_layers"],
        split=record["split"],
        groups=groups,
    )


def _share(record: Record) -> Share:
    return Share(
        device=record["device"],
        layers=record["layers"],
        weight_bytes=record["weights"],
        kv_bytes=record["kv_cache"],
        compute_bytes=record["compute"],
    )


def _device(record: Record) -> Device:
    return Device(
        id=record["id"],
        kind=record["kind"],
        name=record["name"],
        total_bytes=record["memory_total"],
        free_bytes=record["memory_total"],
        cores=tuple(record.get("cores", ())),
        bandwidth=record.get("bandwidth", 0.0),
        compute=record.get("compute", 0.0),
    )


def _link(record: Record) -> Link:
    return Link(
        first=record["from"],
        second=record["to"],
        kind=record["kind"],
        bandwidth=record.get("bandwidth", 0.0),
        latency=record.get("latency", 0.0),
    )
