"""The settings that the scheduler obeys."""

from __future__ import annotations

from dataclasses import dataclass, field

from pollama.types.multigpu import MultiGpu

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits and defaults, each with Ollama's default value. Sizes in bytes, times in seconds.

    ``num_parallel`` None lets the memory decide; ``max_loaded`` 0 means three models per GPU (three without one);
    ``num_ctx`` 0 means by GPU memory. ``gpu_overhead`` and ``gpu_margin`` stay free on every GPU, ``host_margin``
    in the memory of the machine. A reading of free memory is used for ``reading_lifetime``.

    With ``multi_gpu.enabled`` a model may have several replicas; none is added for ``replica_pause`` after one could
    not be loaded. A replica beside others leaves after ``scale_in`` idle seconds, the last one after its keep-alive.
    """

    max_queue: int = 512
    max_loaded: int = 0
    num_parallel: int | None = None
    max_sequences: int = 16
    keep_alive: float = 300.0
    num_ctx: int = 0
    kv_type: str = "f16"
    flash_attention: bool | None = None
    spread: bool = False
    gpu_overhead: int = 0
    gpu_margin: int = 256 * MIB
    host_margin: int = 256 * MIB
    reading_lifetime: float = 5.0
    multi_gpu: MultiGpu = field(default_factory=MultiGpu)
    replica_pause: float = 30.0
    scale_in: float = 60.0
