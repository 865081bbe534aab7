"""The settings for several devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

from pollama.config.declare import setting
from pollama.config.kinds import (
    ALGORITHM,
    BALANCING,
    BOOL,
    FACTOR,
    INDEXES,
    LIMITS,
    PARTITIONS,
    RULES,
    SECONDS,
    SHARE,
    STRATEGY,
    TEXTS,
    UINT,
    choice,
)  # fmt: skip
from pollama.types.cores import CpuPartition
from pollama.types.multigpu import Algorithm, LoadBalancing, Migration, ModelRule, MultiGpu, Strategy

_ENGINES: Final = choice("llama_cpp", "vllm", "exllamav2")
_ONE_ENGINE: Final = "llama.cpp is the only engine of this version"
_BY_ENGINE: Final = "llama.cpp settles it by itself"
_ALWAYS: Final = "done for every model, always"


@dataclass(frozen=True, kw_only=True)
class DeviceSettings:
    """Which devices there are, which may be used, and how models are spread over them."""

    multi_gpu: bool = setting(
        False, "OLLAMA_MULTI_GPU", BOOL, "Spread models and replicas over several devices", key="multi_gpu.enabled"
    )
    gpu_strategy: Strategy = setting(
        "auto",
        "OLLAMA_GPU_STRATEGY",
        STRATEGY,
        "auto: what is predicted to be fastest; data: replicas; pipeline: a layer split; tensor: llama.cpp's tensor "
        "split; hybrid: replicas of layer splits",
        key="multi_gpu.strategy",
    )
    backend: str = setting(
        "llama_cpp", "OLLAMA_BACKEND", _ENGINES, "Engine", key="multi_gpu.backends.primary", no_effect=_ONE_ENGINE
    )
    fallback_backend: str = setting(
        "llama_cpp",
        "OLLAMA_FALLBACK_BACKEND",
        _ENGINES,
        "Engine for models that the first one cannot run",
        key="multi_gpu.backends.fallback",
        no_effect=_ONE_ENGINE,
    )
    legacy_backend: str = setting(
        "llama_cpp", "", _ENGINES, "Engine for old models", key="multi_gpu.backends.legacy", no_effect=_ONE_ENGINE
    )
    tensor_size: int = setting(
        0,
        "OLLAMA_TENSOR_PARALLEL_SIZE",
        UINT,
        "Devices that a tensor split takes",
        key="multi_gpu.tensor_parallel.size",
        shown_default="all that help",
    )
    tensor_communication: str = setting(
        "nccl",
        "",
        choice("nccl", "rccl", "gloo"),
        "Library that joins the devices of a tensor split",
        key="multi_gpu.tensor_parallel.communication",
        no_effect=_BY_ENGINE,
    )
    tensor_split_strategy: str = setting(
        "balanced",
        "",
        choice("balanced", "memory_aware", "performance_aware"),
        "How rows are divided",
        key="multi_gpu.tensor_parallel.split_strategy",
        no_effect="scheduling.algorithm decides for every strategy",
    )
    pipeline_size: int = setting(
        0,
        "OLLAMA_PIPELINE_PARALLEL_SIZE",
        UINT,
        "Devices (stages) that a layer split takes",
        key="multi_gpu.pipeline_parallel.size",
        shown_default="all that help",
    )
    micro_batch_size: int = setting(
        1,
        "",
        UINT,
        "Sequences in a micro-batch",
        key="multi_gpu.pipeline_parallel.micro_batch_size",
        no_effect="micro-batches inside one decode do not fill the stages of a split (docs/performance.md)",
    )
    overlap_communication: bool = setting(
        True,
        "",
        BOOL,
        "Send activations while computing",
        key="multi_gpu.pipeline_parallel.overlap_communication",
        no_effect=_BY_ENGINE,
    )
    replicas: int = setting(
        0,
        "",
        UINT,
        "Replicas that a model may have",
        key="multi_gpu.data_parallel.replicas",
        shown_default="one per device",
    )
    load_balancing: LoadBalancing = setting(
        "prefix",
        "",
        BALANCING,
        "How requests are spread over the replicas of a model; prefix: to the longest cached prefix, then to the "
        "fewest outstanding tokens",
        key="multi_gpu.data_parallel.load_balancing",
    )
    cross_vendor: bool = setting(
        True, "", BOOL, "Let one model use devices of several vendors", key="multi_gpu.cross_vendor.enabled"
    )
    cuda_gpus: tuple[int, ...] | None = setting(
        None,
        "OLLAMA_CUDA_GPUS",
        INDEXES,
        "NVIDIA GPUs that may be used, counted from 0",
        key="multi_gpu.cross_vendor.cuda_gpus",
        shown_default="all",
    )
    rocm_gpus: tuple[int, ...] | None = setting(
        None,
        "OLLAMA_ROCM_GPUS",
        INDEXES,
        "AMD GPUs that may be used, counted from 0",
        key="multi_gpu.cross_vendor.rocm_gpus",
        shown_default="all",
    )
    intel_gpus: tuple[int, ...] | None = setting(
        None,
        "OLLAMA_INTEL_GPUS",
        INDEXES,
        "Intel GPUs that may be used, counted from 0",
        key="multi_gpu.cross_vendor.intel_gpus",
        shown_default="all",
    )
    coordination_overhead: float = setting(
        0.0,
        "",
        FACTOR,
        "Share by which a plan over devices of several vendors is taken to be slower",
        key="multi_gpu.cross_vendor.coordination_overhead",
    )
    algorithm: Algorithm = setting(
        "performance_aware",
        "",
        ALGORITHM,
        "How devices are weighed: by memory, by measured speed, or by speed per watt",
        key="multi_gpu.scheduling.algorithm",
    )
    scheduling_metrics: tuple[str, ...] = setting(
        ("latency", "throughput", "memory", "power"),
        "",
        TEXTS,
        "What plans are judged by",
        key="multi_gpu.scheduling.metrics",
        no_effect="the algorithm and the request's performance_profile say it",
    )
    auto_migration: bool = setting(
        False,
        "OLLAMA_AUTO_MIGRATION",
        BOOL,
        "Move replicas away from devices that are busier than the threshold",
        key="multi_gpu.scheduling.migration.enabled",
    )
    migration_threshold: float = setting(
        0.8, "", SHARE, "Busy share of a device", key="multi_gpu.scheduling.migration.threshold"
    )
    migration_cooldown: float = setting(
        30.0,
        "",
        SECONDS,
        "Time for which a device must be that busy, and between two moves",
        key="multi_gpu.scheduling.migration.cooldown",
        shown_default="30",
    )
    memory_pooling: bool = setting(
        True,
        "OLLAMA_GPU_MEMORY_POOL",
        BOOL,
        "Share the KV cells of a replica among its sequences",
        key="multi_gpu.memory.pooling",
        no_effect="the plan of a replica settles it by memory",
    )
    defragmentation: bool = setting(
        True, "", BOOL, "Keep KV cells together", key="multi_gpu.memory.defragmentation", no_effect=_BY_ENGINE
    )
    cross_gpu_sharing: bool = setting(
        True,
        "",
        BOOL,
        "Keep a layer's KV cells where its weights are",
        key="multi_gpu.memory.cross_gpu_sharing",
        no_effect=_ALWAYS,
    )
    kv_cache_distribution: str = setting(
        "balanced",
        "OLLAMA_KV_CACHE_DISTRIBUTION",
        choice("balanced", "memory_aware", "performance_aware"),
        "How KV cells are divided between devices",
        key="multi_gpu.memory.kv_cache_distribution",
        no_effect="the cells of a layer lie with the layer",
    )
    monitoring: bool = setting(
        True, "", BOOL, "Watch the devices", key="multi_gpu.monitoring.enabled", no_effect=_ALWAYS
    )
    metrics_collection: bool = setting(
        True, "", BOOL, "Count tokens and times", key="multi_gpu.monitoring.metrics_collection", no_effect=_ALWAYS
    )
    performance_profiling: bool = setting(
        True,
        "",
        BOOL,
        "Measure the speed of devices once, while nobody uses them",
        key="multi_gpu.monitoring.performance_profiling",
    )
    auto_optimization: bool = setting(
        True,
        "",
        BOOL,
        "Correct predictions by the time that replicas really took",
        key="multi_gpu.monitoring.auto_optimization",
    )
    cpu_partitions: tuple[CpuPartition, ...] = setting(
        (),
        "",
        PARTITIONS,
        'Sets of cores that are devices of their own: `[{cores: "0-3", memory: "16GiB"}, {cores: "4-7"}]`',
        key="devices.cpu",
        shown_default="one device with all cores",
    )
    device_limits: Mapping[str, int] = setting(
        MappingProxyType({}),
        "",
        LIMITS,
        'Memory that models may take on a device, by its id or name: `{"NVIDIA GeForce RTX 3090": "20GiB"}`',
        key="devices.memory",
        shown_default="all of it",
    )
    rules: Mapping[str, ModelRule] = setting(
        MappingProxyType({}),
        "",
        RULES,
        'Rules for single models: `{"llama3:70b": {strategy: pipeline, replicas: 1, affinity: ["cpu:0-7"], '
        "num_ctx: 8192, slots: 4, num_batch: 512, threads: 8}}`",
        key="models",
        shown_default="none",
    )
    spare_runner: bool = setting(
        True,
        "POLLAMA_SPARE_RUNNER",
        BOOL,
        "Keep one runner process ready for the next model, which then loads sooner; it takes some 40 MB of memory",
    )

    def several_devices(self) -> MultiGpu:
        """Return what the scheduler is told of them."""
        return MultiGpu(
            enabled=self.multi_gpu,
            strategy=self.gpu_strategy,
            tensor_size=self.tensor_size,
            pipeline_size=self.pipeline_size,
            replicas=self.replicas,
            load_balancing=self.load_balancing,
            algorithm=self.algorithm,
            cross_vendor=self.cross_vendor,
            coordination_overhead=self.coordination_overhead,
            migration=Migration(
                enabled=self.auto_migration, threshold=self.migration_threshold, cooldown=self.migration_cooldown
            ),
            corrections=self.auto_optimization,
            rules=self.rules,
        )


_FIXED: Final = frozenset(
    {"cuda_gpus", "rocm_gpus", "intel_gpus", "cpu_partitions", "device_limits", "performance_profiling", "spare_runner"}
)
"""What is read once, when the server starts."""

LIVE: Final = frozenset(item.metadata["key"] for item in fields(DeviceSettings) if item.name not in _FIXED)
"""Keys of settings that a running server takes."""
