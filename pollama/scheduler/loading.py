"""From a plan to what a runner process is told, and what its failure means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from pollama.errors import PollamaError
from pollama.scheduler.estimate import generates
from pollama.scheduler.policy import GIB, Policy
from pollama.types.devices import Device
from pollama.types.model import Model, ModelSpec
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan, Stage, Worker

CPU_DEVICE: Final = "CPU"
"""What llama.cpp calls the processor."""
_HOST_RESERVE: Final = 8 * GIB
_FITS_SHARE: Final = 0.8


_MEMORY_WORDS: Final = (
    "out of memory",
    "out of device memory",
    "outofmemory",
    "out_of_device_memory",
    "malloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
)
"""How the engine and the drivers say that memory was short."""


def load_spec(
    model: Model, options: Options, plan: Plan, devices: Sequence[Device], policy: Policy, *, mapped_bytes: int
) -> LoadSpec:
    """Return the load of ``plan``. ``mapped_bytes`` are the weights of other replicas that are mapped from disk."""
    stored = model.stored
    if stored.weights is None or stored.spec is None:
        raise ValueError(f"{stored.short_name} has no weights")
    used = _devices_of(plan, devices)
    gpus = [device for device, _ in used if device.is_gpu]
    host = _host_of(plan, devices)
    hosts = _hosts(plan, [device for device, _ in used], host)
    mmap = options.use_mmap
    if mmap is None:
        mmap = maps_weights(stored.spec, plan, gpus, host, mapped_bytes)
    return LoadSpec(
        weights=stored.weights,
        plan=plan,
        options=replace(options, use_mmap=mmap),
        projectors=stored.projectors,
        adapters=stored.adapters,
        kv_type=policy.kv_type,
        flash_attention=policy.flash_attention,
        pooling=not generates(model),
        stages=_stages(plan, [(device, layers) for device, layers in used if device not in hosts]),
        main_gpu=0 if len(gpus) == 1 else options.main_gpu,
        cores=tuple(sorted({core for device in hosts for core in device.cores})),
    )


def _stages(plan: Plan, used: Sequence[tuple[Device, int]]) -> tuple[Stage, ...]:
    """Return the stages of ``used`` devices with their layers, in this order.

    The runner uses the GPUs of the first one's kind; a device of another kind, or further cores, needs a process of its
    own.
    """
    kind = next((device.kind for device, _ in used if device.is_gpu), None)
    return tuple(
        Stage(
            engine_device=device.engine_name or CPU_DEVICE,
            layers=layers,
            worker=None if device.kind == kind else _worker(device, plan),
        )
        for device, layers in used
    )


def _worker(device: Device, plan: Plan) -> Worker:
    return Worker(device=device.id, cores=device.cores, threads=plan.threads or len(device.cores) or 1)


def _hosts(plan: Plan, used: Sequence[Device], host: Device | None) -> list[Device]:
    """Return the CPU devices on whose cores the runner itself computes: one, or all that are joined to one engine."""
    if plan.split == "tensor" and not any(device.is_gpu for device in used):
        return list(used)
    return [] if host is None else [host]


def maps_weights(spec: ModelSpec, plan: Plan, gpus: Sequence[Device], host: Device | None, mapped_bytes: int) -> bool:
    """Tell whether the weights are mapped from the file instead of read into memory, when nobody has chosen.

    Not on the CPU alone, not for a partial offload on Metal, and not where a model that fits discrete GPUs would push
    the page cache of a machine that is short of memory.
    """
    if not gpus:
        return False
    if any(gpu.kind == "metal" for gpu in gpus):
        return plan.gpu_layers > spec.layer_count
    if any(gpu.integrated for gpu in gpus) or host is None:
        return True
    fits = plan.total_bytes <= _FITS_SHARE * sum(gpu.free_bytes for gpu in gpus)
    reserve = max(_HOST_RESERVE, host.total_bytes // 10)
    return not (fits and host.free_bytes < spec.file_bytes + mapped_bytes + reserve)


def was_out_of_memory(error: PollamaError) -> bool:
    """Tell whether a load failed for want of memory, so that a smaller one may succeed."""
    text = str(error).lower()
    return any(words in text for words in _MEMORY_WORDS)


def _host_of(plan: Plan, devices: Iterable[Device]) -> Device | None:
    """Return the first CPU device of a plan, else the first there is."""
    hosts = {device.id: device for device in devices if not device.is_gpu}
    planned = (hosts[share.device] for share in plan.shares if share.device in hosts)
    return next(planned, next(iter(hosts.values()), None))


def _devices_of(plan: Plan, devices: Iterable[Device]) -> list[tuple[Device, int]]:
    """Return the devices that hold layers, and how many, in stage order."""
    by_id = {device.id: device for device in devices}
    return [(by_id[share.device], share.layers) for share in plan.shares if share.layers and share.device in by_id]
