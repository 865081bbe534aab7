"""Measures how long a plan takes by the number of devices.

python -m benchmarks.planner [--devices N ...] [--rounds N]

Plans models of four shapes for described houses: GPUs of two kinds with a few unlike ones among them, all of a speed of
their own as measured ones are, and one CPU device. Prints processor time per plan (all layouts weighed): the median of
the rounds, in which the numbers of devices take turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pollama.cli.house import paper_model
from pollama.scheduler.placement import Refusal, alternatives
from pollama.scheduler.policy import GIB, Policy
from pollama.scheduler.residency import Memory
from pollama.types.devices import Device
from pollama.types.model import Model, ModelSpec
from pollama.types.multigpu import MultiGpu
from pollama.types.options import Options

_SHAPES: Final = {
    "8B": (8e9, 32, 4096, 8, 0),
    "70B": (70e9, 80, 8192, 8, 0),
    "405B": (405e9, 126, 16384, 8, 0),
    "400B of 128 experts": (400e9, 48, 5120, 8, 128),
}
"""Parameters, layers, embedding length, key and value heads, experts."""
_BITS: Final = 4.5
_VOCABULARY: Final = 128_256
_SETTINGS: Final = Policy(multi_gpu=MultiGpu(enabled=True))


def shaped(name: str) -> Model:
    """Return a model of one of the shapes."""
    parameters, layers, width, heads, experts = _SHAPES[name]
    ends = int(_VOCABULARY * width * _BITS / 8)
    block = int(parameters * _BITS / 8 - 2 * ends) // layers
    spec = ModelSpec(
        architecture="llama",
        parameter_count=int(parameters),
        file_type="",
        file_bytes=layers * block + 2 * ends,
        layer_bytes=(block,) * layers,
        input_bytes=ends,
        output_bytes=ends,
        context_length=8192,
        embedding_length=width,
        feed_forward_length=4 * width,
        vocabulary_length=_VOCABULARY,
        head_count=width // 128,
        head_count_kv=(heads,) * layers,
        key_length=128,
        value_length=128,
        expert_count=experts,
        expert_used_count=1 if experts else 0,
        expert_bytes=(int(0.95 * block),) * layers if experts else (),
    )
    return paper_model(name, spec, Path(name))


def house(count: int) -> list[Device]:
    """Return so many devices, the same ones every time."""
    chance = random.Random(count)  # noqa: S311  (the same houses every time)
    host = Device(id="host", kind="cpu", name="host", total_bytes=2048 * GIB, free_bytes=2048 * GIB, cores=(0, 1, 2, 3))
    return [host, *(_gpu(index, chance) for index in range(count - 1))]


def _gpu(index: int, chance: random.Random) -> Device:
    memory = chance.choice((16, 24, 24, 24, 32)) * GIB
    return Device(
        id=f"gpu-{index}",
        kind="cuda" if index % 3 else "rocm",
        name=f"gpu {index}",
        total_bytes=memory,
        free_bytes=memory - chance.randrange(GIB),
        bandwidth=chance.uniform(3e11, 1e12),
        compute=chance.uniform(2e13, 9e13),
    )


def plan_seconds(model: Model, devices: Sequence[Device]) -> tuple[float, str]:
    """Return the processor time of one plan, and what was chosen."""
    memory = Memory(_SETTINGS)
    memory.read(devices, [])
    spaces = memory.spaces([])
    begun = time.process_time()
    found = alternatives(model, Options(), spaces, _SETTINGS)
    seconds = time.process_time() - begun
    if isinstance(found, Refusal):
        return seconds, "refused"
    return seconds, f"{found[0].strategy} x{len(found[0].plans)}"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[8, 64, 1000])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"| model | {' | '.join(f'{count:,} devices' for count in arguments.devices)} |")
    print(f"| --- |{' --- |' * len(arguments.devices)}")
    houses = [house(count) for count in arguments.devices]
    for name in _SHAPES:
        model = shaped(name)
        rounds = [[plan_seconds(model, devices) for devices in houses] for _ in range(arguments.rounds)]
        cells = [
            f"{statistics.median(seconds for seconds, _ in column) * 1e3:.1f} ms, {column[0][1]}"
            for column in zip(*rounds, strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
