"""Compares borders of a split over two CPU devices of which one is slowed: the planner's, llama.cpp's, all others.

python -m benchmarks.placement.unequal [--quick] [--model M] [--slowed N] [--clients N] [--rounds N] [--json FILE]

The second core is also wanted by N other programs. A server measures its devices and plans a split; then splits with
the stages in that order and every border of a sweep take turns, with as many groups as the planner chose. llama.cpp's
own border is in proportion to memory, which is the same for both: half of the layers. The fast device alone runs too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.machine import machine
from benchmarks.placement.cells import MODELS, Layout, model_file
from benchmarks.placement.grid import described, keep, neighbours
from benchmarks.placement.server import Record, Served, serving
from benchmarks.serve.load import Pace
from benchmarks.serve.tables import table
from benchmarks.split import Figures, Shape, take_turns
from pollama.types.plans import LoadSpec

ALONE = "fast device alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The split that the planner made: the core of each stage with its layers, groups; and what ``auto`` chose."""

    cores: tuple[int, int]
    layers: tuple[int, int]
    groups: int
    auto: str


def borders(total: int, planned: int, *, quick: bool) -> list[int]:
    """Return how many of ``total`` layers the last stage gets, in turn: the planner's, half of them, and a sweep."""
    step = 4 if quick else 2
    return sorted({*range(1, total, step), total - 1, planned, total // 2})


async def ask_planner(served: Served, clients: int) -> Planned:
    """Return what a server makes of the devices as it measures them."""
    topology = await served.topology()
    cores = {device["id"]: device["cores"][0] for device in topology["devices"]}
    short = Pace(settle=0.1, seconds=0.1)
    _, replicas = await served.measure(Layout("pipeline", {"strategy": "pipeline"}), clients, short, 0)
    wish = {"strategy": "auto", "performance_profile": "latency"}
    _, chosen = await served.measure(Layout("auto", wish), 1, short, 0)
    return planned_of(replicas, cores, described(chosen))


def planned_of(replicas: Sequence[Record], cores: Mapping[str, int], auto: str) -> Planned:
    """Return the split that replicas are of."""
    first, last = (share for share in replicas[0]["plan"]["shares"] if share["layers"])
    return Planned(
        cores=(cores[first["device"]], cores[last["device"]]),
        layers=(first["layers"], last["layers"]),
        groups=len(replicas),
        auto=auto,
    )


def rivals(shape: Shape, planned: Planned, fast: int, *, quick: bool) -> dict[str, list[LoadSpec]]:
    """Return the loads of every border, and that of the fast device alone."""
    part = shape.clients // planned.groups
    total = sum(planned.layers)
    found = {
        name_of(total, last): [split_at(shape, planned, last, part)] * planned.groups
        for last in borders(total, planned.layers[1], quick=quick)
    }
    return {**found, ALONE: [shape.spec((fast,), shape.clients)]}


def name_of(total: int, last: int) -> str:
    """Return what a border is called."""
    return f"{total - last} + {last}"


def split_at(shape: Shape, planned: Planned, last: int, sequences: int) -> LoadSpec:
    """Return a split in the planner's order with ``last`` layers in the second stage."""
    one, two = planned.cores
    return Shape(shape.model, planned.cores, shape.clients, shape.tokens, last).split(one, two, sequences)


def report(found: Mapping[str, Sequence[Figures]], planned: Planned) -> str:
    """Return a row per border: tokens/s, and against that of the planner in the same round."""
    total = sum(planned.layers)
    mine, default = name_of(total, planned.layers[1]), name_of(total, total // 2)
    names = {mine: "the planner's", default: "in proportion to memory"}
    rows = [
        [name, names.get(name, ""), f"{middle(figures):.1f}", f"{against(figures, found[mine]):.2f}"]
        for name, figures in found.items()
    ]
    return table(["layers", "", "tok/s", "to the planner's"], rows)


def middle(figures: Sequence[Figures]) -> float:
    """Return the median speed."""
    return statistics.median(figure.speed for figure in figures)


def against(figures: Sequence[Figures], others: Sequence[Figures]) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(one.speed / other.speed for one, other in zip(figures, others, strict=True))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer borders and rounds")
    parser.add_argument("--model", choices=MODELS, default="60m-q8_0")
    parser.add_argument("--slowed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--cores", type=int, nargs=2, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--json", type=Path, help="where the figures of all rounds go")
    return parser.parse_args()


async def measured(
    arguments: argparse.Namespace, folder: Path, log: IO[bytes]
) -> tuple[Planned, dict[str, list[Figures]]]:
    """Return what was planned, and what every border did."""
    model = model_file(arguments.model, folder)
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    with neighbours(arguments.cores[1], arguments.slowed):
        async with serving(model, arguments.cores, (0, 0), folder, log) as served:
            planned = await ask_planner(served, arguments.clients)
        print(f"{planned}", file=sys.stderr, flush=True)
        shape = Shape(model, planned.cores, arguments.clients, arguments.tokens, planned.layers[1])
        turns = rivals(shape, planned, arguments.cores[0], quick=arguments.quick)
        return planned, await take_turns(turns, shape, rounds)


def record(planned: Planned, found: Mapping[str, Sequence[Figures]], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as it is kept."""
    rounds = {name: [asdict(figure) for figure in figures] for name, figures in found.items()}
    return {"conditions": conditions, "planned": asdict(planned), "borders": rounds}


def main() -> None:
    """Measure and print."""
    arguments, conditions = parse(), machine()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "serve.log").open("wb") as log:
        planned, found = asyncio.run(measured(arguments, Path(folder), log))
    if arguments.json:
        keep(arguments.json, record(planned, found, conditions))
    print(f"Load average {conditions['load average before']:.1f} before, {os.getloadavg()[0]:.1f} after.")
    print(f"Stages on cores {planned.cores}, {planned.groups} group(s); for one client auto chose {planned.auto}.\n")
    print(report(found, planned))


if __name__ == "__main__":
    main()
