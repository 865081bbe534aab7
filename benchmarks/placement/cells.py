"""What the grid consists of: models, sets of two CPU devices, numbers of clients, and the layouts of each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

from tools.random_model import PRESETS, Spec, write_random_model

MODELS: Final = {
    "60m-q8_0": PRESETS["60m"],
    "120m-q4_0": Spec(layers=16, width=640, heads=10, kv_heads=5, ffn=1728, vocab=32_000, context=8192, quant="q4_0"),
    "20m-f32": Spec(layers=8, width=384, heads=6, kv_heads=6, ffn=1024, vocab=8000, context=8192, quant="f32"),
    "60m-q4_0": replace(PRESETS["60m"], quant="q4_0"),
}
CLIENTS: Final = (1, 4, 16)
AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """Two devices of one core. ``limited``: the first has no memory for a whole model; ``slowed``: the second's core
    is also wanted by so many other programs.
    """

    name: str
    limited: bool = False
    slowed: int = 0


DEVICE_SETS: Final = (DeviceSet("equal"), DeviceSet("limited", limited=True), DeviceSet("throttled", slowed=1))


@dataclass(frozen=True, slots=True)
class Ground:
    """A model on a set of devices: what one server is started for."""

    model: str
    devices: DeviceSet


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to serve a model; ``wish`` is the field ``multi_gpu`` of its requests."""

    name: str
    wish: dict[str, Any]


def grounds(models: Sequence[str], sets: Sequence[DeviceSet]) -> Iterator[Ground]:
    """Yield every model on every set of devices."""
    return (Ground(model, devices) for model, devices in product(models, sets))


def layouts(devices: Sequence[str], clients: int) -> list[Layout]:
    """Return the layouts that a cell compares, the planner's choice last. One client has no use for replicas."""
    static = [Layout(f"alone on {name}", {"strategy": "data", "gpu_selection": [name]}) for name in devices]
    spread = ["pipeline", "tensor"] if clients == 1 else ["data", "pipeline", "tensor"]
    static += [Layout(name, {"strategy": name}) for name in spread]
    return [*static, Layout(AUTO, {"strategy": AUTO, "performance_profile": profile(clients)})]


def profile(clients: int) -> str:
    """Return what a request asks for where there are so many clients."""
    return "latency" if clients == 1 else "balanced"


def model_file(name: str, folder: Path) -> Path:
    """Return the file of a model, written into ``folder`` first where it is missing."""
    path = folder / f"{name}.gguf"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        write_random_model(unfinished, MODELS[name])
        unfinished.replace(path)
    return path
