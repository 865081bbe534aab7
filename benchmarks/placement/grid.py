"""Runs every layout of small random models on sets of CPU devices under several loads, and what the planner chooses.

python -m benchmarks.placement.grid [--quick] [--models M ...] [--clients N ...] [--rounds N] [--json FILE]

Each layout is loaded by a request that asks for it, measured and unloaded again; the layouts of a cell take turns.
Prints tables in Markdown; progress goes to standard error, the figures of all rounds into the JSON file. ``--quick``
takes two models, one and sixteen clients and one round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp

from benchmarks.machine import machine
from benchmarks.placement import tables
from benchmarks.placement.cells import (
    CLIENTS,
    DEVICE_SETS,
    MODELS,
    DeviceSet,
    Ground,
    Layout,
    grounds,
    layouts,
    model_file,
)
from benchmarks.placement.figures import Cell, Outcome, summary
from benchmarks.placement.predict import holders, model_of, predicted, too_little
from benchmarks.placement.server import ANSWER_TOKENS, CONTEXT, PROMPT_TOKENS, Record, Served, serving
from benchmarks.serve.load import Pace
from benchmarks.serve.neighbour import busy_core
from pollama.scheduler.costs import Demand
from pollama.types.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What the command line chose."""

    folder: Path
    log: IO[bytes]
    cores: Sequence[int]
    models: Sequence[str]
    sets: Sequence[DeviceSet]
    clients: Sequence[int]
    rounds: int
    pace: Pace

    async def cells(self) -> AsyncIterator[Cell]:
        """Yield the cells, measured."""
        for ground in grounds(self.models, self.sets):
            async for cell in self._on(ground):
                yield cell

    async def _on(self, ground: Ground) -> AsyncIterator[Cell]:
        file = model_file(ground.model, self.folder)
        model = model_of(file)
        memory = [too_little(model, CONTEXT) if ground.devices.limited else 0, 0]
        home = self.folder / ("slowed" if ground.devices.slowed else "home")
        with neighbours(self.cores[1], ground.devices.slowed):
            async with serving(file, self.cores, memory, home, self.log) as served:
                topology = await served.topology()
                for clients in self.clients:
                    tell(f"{ground.model}, {ground.devices.name}, {clients} clients")
                    outcomes = await self._outcomes(served, model, topology, clients)
                    yield Cell(model=ground.model, devices=ground.devices.name, clients=clients, outcomes=outcomes)

    async def _outcomes(self, served: Served, model: Model, topology: Record, clients: int) -> dict[str, Outcome]:
        turns = layouts([device["id"] for device in topology["devices"]], clients)
        found: dict[str, list[tuple[float, Sequence[Record]]]] = {}
        for number in range(self.rounds):
            for layout in turns:
                measured = await attempt(served, layout, clients, self.pace, number)
                if measured is not None:
                    found.setdefault(layout.name, []).append(measured)
        demand = Demand(clients=clients, prompt=PROMPT_TOKENS, answer=ANSWER_TOKENS)
        return {
            name: Outcome(
                speeds=tuple(speed for speed, _ in rounds),
                predicted=predicted(model, topology, rounds[-1][1], demand),
                loaded=described(rounds[-1][1]),
            )
            for name, rounds in found.items()
        }


async def attempt(
    served: Served, layout: Layout, clients: int, pace: Pace, seed: int
) -> tuple[float, Sequence[Record]] | None:
    """Return what a layout did; None for one that is not possible."""
    try:
        return await served.measure(layout, clients, pace, seed)
    except aiohttp.ClientPayloadError as error:
        if "requires more memory" not in str(error):
            raise
        return None


def described(replicas: Sequence[Record]) -> str:
    """Say what is loaded: ``cpu:0, cpu:1`` for replicas, ``cpu:0 (9) > cpu:1 (4)`` for stages with their layers."""
    return ", ".join(sorted(_described(replica["plan"]) for replica in replicas))


def _described(plan: Record) -> str:
    names = holders(plan)
    if plan["split"] == "layer":
        return " > ".join(f"{share['device']} ({share['layers']})" for share in plan["shares"] if share["layers"])
    return "+".join(names)


def neighbours(core: int, count: int) -> ExitStack:
    """Return so many programs that want ``core`` as much as anybody."""
    running = ExitStack()
    for _ in range(count):
        running.enter_context(busy_core(core))
    return running


def tell(text: str) -> None:
    """Say on standard error how far a run has come."""
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--sets", nargs="+", choices=[devices.name for devices in DEVICE_SETS])
    parser.add_argument("--clients", nargs="+", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--cores", type=int, nargs=2, default=sorted(os.sched_getaffinity(0))[:2])
    parser.add_argument("--json", type=Path, help="where the figures of all rounds go")
    return parser.parse_args()


def grid_of(arguments: argparse.Namespace, folder: Path, log: IO[bytes]) -> Grid:
    """Return what the command line chose."""
    quick = arguments.quick
    return Grid(
        folder=folder,
        log=log,
        cores=arguments.cores,
        models=arguments.models or list(MODELS)[: 2 if quick else None],
        sets=[devices for devices in DEVICE_SETS if not arguments.sets or devices.name in arguments.sets],
        clients=arguments.clients or (CLIENTS[:: len(CLIENTS) - 1] if quick else CLIENTS),
        rounds=arguments.rounds or (1 if quick else 3),
        pace=Pace(settle=0.5, seconds=arguments.seconds),
    )


async def measured(grid: Grid, conditions: dict[str, Any], output: Path | None) -> list[Cell]:
    """Return all cells; what there is so far is kept after each of them."""
    cells: list[Cell] = []
    async for cell in grid.cells():
        cells.append(cell)
        tell(tables.layouts([cell]).splitlines()[-1])
        if output is not None:
            keep(output, {"conditions": conditions, "cells": [cell.record() for cell in cells]})
    return cells


def keep(output: Path, results: dict[str, Any]) -> None:
    """Write the figures of all rounds."""
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure and print."""
    arguments = parse()
    conditions = machine()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "serve.log").open("wb") as log:
        cells = asyncio.run(measured(grid_of(arguments, Path(folder), log), conditions, arguments.json))
    print(f"Load average {conditions['load average before']:.1f} before, {os.getloadavg()[0]:.1f} after.\n")
    print(tables.grid(cells), tables.layouts(cells), tables.summed(summary(cells)), sep="\n\n")


if __name__ == "__main__":
    main()
