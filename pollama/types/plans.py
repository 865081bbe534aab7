"""Plans: which part of a model goes where, and what that is expected to cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pollama.types.multigpu import Strategy
from pollama.types.options import Options

SplitMode = Literal["none", "layer", "tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One device's part of a model.

    Bytes of weights, KV cache and compute buffers; ``layers`` counts blocks (+1 for the output). With the split
    ``tensor`` each device has a part of every layer, so that ``layers`` is all of them.
    """

    device: str
    layers: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """All bytes on this device."""
        return self.weight_bytes + self.kv_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one replica is loaded; ``shares`` are in stage order.

    ``split`` ``none``: one device, or one GPU and the first blocks on the CPU; ``layer``: a stage per share that has
    layers, several CPU devices being a stage each (``gpu_layers`` 0); ``tensor``: all devices work on every layer,
    which for CPU devices is one engine on the cores of all of them. A CPU share behind those of GPUs has the embedding
    and the first blocks that are not on GPUs, if any. ``strategy`` says what the replica is part of;
    ``groups`` is how many equal replicas of a layer split share its devices, so that no stage waits for the others.

    ``context_length`` is tokens per sequence, ``cells`` the KV cells in all: with ``shared_cells`` all sequences draw
    from them, otherwise each owns ``context_length``. ``tokens_per_second`` is the prediction (0 = none).
    ``gpu_layers`` -1 = all that fit. ``reason`` says in one sentence why this plan was chosen.
    """

    shares: tuple[Share, ...]
    sequences: int
    context_length: int
    cells: int
    shared_cells: bool
    batch: int
    gpu_layers: int = -1
    split: SplitMode = "none"
    strategy: Strategy = "data"
    groups: int = 1
    threads: int = 0
    tokens_per_second: float = 0.0
    reason: str = ""

    @property
    def total_bytes(self) -> int:
        """All bytes on all devices."""
        return sum(share.total_bytes for share in self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A layout that was weighed: one plan per replica, and the predicted tokens/s of all of them together."""

    strategy: Strategy
    plans: tuple[Plan, ...]
    tokens_per_second: float
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """What would be done with a model: one plan per replica that it may have, or why it cannot be loaded.

    ``fits_now`` tells that nothing else has to leave for it. ``alternatives`` are the layouts that were weighed, the
    chosen one first.
    """

    plans: tuple[Plan, ...] = ()
    fits_now: bool = False
    refusal: str = ""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A replica on its way to other devices; ``target`` None: it only leaves.

    ``loading``: the new one is not ready yet; ``draining``: requests in flight finish on the old one.
    """

    model: str
    replica: int
    source: tuple[str, ...]
    target: tuple[str, ...] | None
    state: Literal["loading", "draining", "done", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that serves one device to one runner, over loopback.

    ``device`` is pollama's id of it. ``cores`` and ``threads`` are for a CPU device. ``environment`` is added to the
    worker's own. ``endpoint`` is ``host:port``, known when the worker runs.
    """

    device: str
    cores: tuple[int, ...] = ()
    threads: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Consecutive blocks (the output counts as one) on one device.

    ``engine_device`` is llama.cpp's name of it in the process that has it: the ``worker``, or the runner itself.
    """

    engine_device: str
    layers: int
    worker: Worker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """Everything that a runner process needs to load a model; travels to it as JSON.

    ``stages`` hold the last blocks, in this order; the runner computes the blocks before them on its own ``cores``.
    Without stages it is as ``plan.gpu_layers`` says: 0 = all on the CPU.
    """

    weights: Path
    plan: Plan
    options: Options
    projectors: tuple[Path, ...] = ()
    adapters: tuple[Path, ...] = ()
    kv_type: str = "f16"
    flash_attention: bool | None = None
    pooling: bool = False
    stages: tuple[Stage, ...] = ()
    main_gpu: int | None = None
    cores: tuple[int, ...] = ()
