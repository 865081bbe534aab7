"""The answers of /api/multigpu. Sizes are bytes; what is not known is left out, or null where it has a place."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from pollama.types.multigpu import Strategy


class Device(TypedDict):
    """A GPU or a set of cores. Bandwidth in bytes/s, compute in operations/s, power in watts."""

    id: str
    kind: str
    name: str
    memory_total: int
    memory_limit: NotRequired[int]
    cores: NotRequired[list[int]]
    driver: NotRequired[str]
    compute_capability: NotRequired[str]
    integrated: NotRequired[bool]
    vendor: NotRequired[str]
    uuid: NotRequired[str]
    pci_address: NotRequired[str]
    pcie_generation: NotRequired[int]
    pcie_width: NotRequired[int]
    numa_node: NotRequired[int]
    cache: NotRequired[int]
    power_limit: NotRequired[float]
    bandwidth: NotRequired[float]
    compute: NotRequired[float]


class DeviceInUse(Device):
    """A device with what is on it; ``memory_free`` is what further models may take."""

    memory_free: int
    replicas: int


Link = TypedDict(
    "Link",
    {
        "from": str,
        "to": str,
        "kind": str,
        "distance": NotRequired[int],
        "bandwidth": NotRequired[float],
        "latency": NotRequired[float],
    },
)


class Topology(TypedDict):
    """The devices and what joins them."""

    devices: list[Device]
    links: list[Link]


class Share(TypedDict):
    """One device's part of a replica."""

    device: str
    layers: int
    weights: int
    kv_cache: int
    compute: int


class Plan(TypedDict):
    """How one replica is loaded. ``throughput`` is the prediction in tokens/s; shares are in stage order."""

    shares: list[Share]
    size: int
    context_length: int
    sequences: int
    cells: int
    shared_cells: bool
    batch: int
    gpu_layers: int
    split: Literal["none", "layer", "tensor"]
    throughput: float
    reason: str


class Replica(TypedDict):
    """One load of a model."""

    id: int
    state: Literal["loading", "ready", "unloading"]
    devices: list[str]
    in_use: int
    sequences: int


class LoadedModel(TypedDict):
    """A loaded model and its replicas."""

    name: str
    replicas: list[Replica]


class PlannedReplica(Replica):
    """A replica with everything that is known of it; one that loads or does not answer has no caches."""

    size: int
    size_vram: int
    expires_at: str
    plan: Plan
    kv_cache: NotRequired[dict[str, int]]
    prefix_cache: NotRequired[dict[str, int]]


class PlannedModel(TypedDict):
    """A loaded model with its plans."""

    name: str
    digest: str
    replicas: list[PlannedReplica]


class Models(TypedDict):
    """The loaded models."""

    models: list[PlannedModel]


Move = TypedDict(
    "Move",
    {
        "model": str,
        "replica": int,
        "from": list[str],
        "to": list[str] | None,
        "state": Literal["loading", "draining", "done", "failed"],
        "reason": str,
    },
)


class Moves(TypedDict):
    """The moves that have begun."""

    moves: list[Move]


class Queue(TypedDict):
    """Requests that wait for a replica."""

    waiting: int


class State(TypedDict):
    """The settings, and what is on the devices."""

    enabled: bool
    strategy: Strategy
    data_parallel: dict[str, Any]
    devices: list[DeviceInUse]
    models: list[LoadedModel]
    queue: Queue
    moves: list[Move]


class Stage(TypedDict):
    """A device and its layers."""

    device: str
    layers: int


class Alternative(TypedDict):
    """A layout that was weighed: the stages of each replica, and the predicted tokens/s of all."""

    strategy: Strategy
    throughput: float
    reason: str
    replicas: list[list[Stage]]


class Preview(TypedDict):
    """What would be done with a model, or with ``possible`` false the reason why nothing can be."""

    model: str
    possible: bool
    reason: NotRequired[str]
    fits_now: NotRequired[bool]
    replicas: NotRequired[list[Plan]]
    alternatives: NotRequired[list[Alternative]]


class Percentiles(TypedDict):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


class Latency(TypedDict):
    """From a request to its first token, and between tokens."""

    first_token: Percentiles
    token: Percentiles


class MeasuredReplica(TypedDict):
    """What was predicted and measured of a replica; ``throughput`` in tokens/s over the last minute.

    ``threads`` compute on the processor at the moment: fewer than planned while other programs want the cores.
    """

    id: int
    devices: list[str]
    throughput: float
    predicted_throughput: float
    latency: Latency
    requests: int
    running: int
    waiting: int
    threads: int
    busy_seconds: float
    tokens: dict[str, int]
    kv_cache: dict[str, int]
    prefix_cache: dict[str, int]
    stages: list[dict[str, Any]]


class MeasuredModel(TypedDict):
    """All replicas of a model together."""

    name: str
    throughput: float
    predicted_throughput: float
    replicas: list[MeasuredReplica]


class MeasuredDevice(TypedDict):
    """How a device is doing: percent, bytes, watts, degrees Celsius, MHz; null where it does not tell."""

    id: str
    gpu_util: float | None
    memory_usage: int | None
    power_draw: float | None
    temperature: float | None
    clock: float | None
    memory_clock: float | None


class Performance(TypedDict):
    """What was predicted, what was measured, how the devices are doing."""

    models: list[MeasuredModel]
    devices: list[MeasuredDevice]


class Settings(TypedDict):
    """The settings for several devices nested as in YAML; where those come from that were set; which change nothing."""

    file: str
    multi_gpu: dict[str, Any]
    devices: dict[str, Any]
    models: dict[str, Any]
    sources: dict[str, str]
    no_effect: dict[str, str]


class Changes(TypedDict, total=False):
    """Settings to change, nested as in YAML; null is the default."""

    multi_gpu: dict[str, Any]
    models: dict[str, Any] | None
