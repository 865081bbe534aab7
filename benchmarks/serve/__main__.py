"""Compare pollama with llama-server, which is built from the sources of pollama's own engine.

python -m benchmarks.serve [--parts P ...] [--models M ...] [--clients N ...] [--loads L ...] [--rounds N] ...

Both servers run side by side and get the same load in turn, round after round. The figures of all rounds are kept in
serve.json of the output folder, beside the plot that is made from it; the tables go into performance.md of the folder
above. Parts that are not measured again keep what the file has of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.machine import machine
from benchmarks.serve.load import Pace
from benchmarks.serve.matrix import CLIENTS, SUBJECTS
from benchmarks.serve.parts import PARTS, Bench
from benchmarks.serve.plot import write_plot
from benchmarks.serve.tables import document, inserted
from tools.llama_server import ENGINE_FLAGS, llama_server

OUTPUT: Final = Path(__file__).parents[2] / "docs" / "benchmarks"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--clients", nargs="+", type=int, default=CLIENTS, help="of the part 'same'")
    parser.add_argument("--loads", nargs="+", default=(), help="of the part 'same': all, or only the named ones")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both servers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settle", type=float, default=1.0, help="seconds before each measurement")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=4.0, help="requests per second of the open loop")
    parser.add_argument("--llama-server", type=Path, help="the program; built first where it is not given")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--log", type=Path, help="where the servers' own output goes")
    return parser.parse_args()


def bench_of(arguments: argparse.Namespace, folder: Path, log: IO[bytes]) -> Bench:
    """Return what the command line chose; ``folder`` is for models and stores."""
    return Bench(
        program=arguments.llama_server or llama_server(ENGINE_FLAGS),
        folder=folder,
        models=arguments.models,
        clients=arguments.clients,
        kinds=arguments.loads,
        threads=arguments.threads,
        pace=Pace(settle=arguments.settle, seconds=arguments.seconds),
        rounds=arguments.rounds,
        rate=arguments.rate,
        log=log,
    )


def measure(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the chosen parts; yield the records of each as soon as they are there."""
    conditions = {**machine(), "rounds": arguments.rounds, "seconds": arguments.seconds, "threads": arguments.threads}
    with (arguments.log or folder / "servers.log").open("wb") as log:
        bench = bench_of(arguments, folder, log)
        for part in arguments.parts:
            yield part, {"conditions": conditions, "records": asyncio.run(PARTS[part](bench))}


def write(results: dict[str, Any], output: Path) -> None:
    """Keep the figures, and what is made from them."""
    (output / "serve.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_plot(results, output / "serve.svg")
    page = output.parent / "performance.md"
    if page.exists():
        page.write_text(inserted(page.read_text(encoding="utf-8"), document(results)), encoding="utf-8")


def main() -> None:
    """Measure, keep the figures, and write tables and plot."""
    arguments = parse()
    arguments.output.mkdir(parents=True, exist_ok=True)
    kept = arguments.output / "serve.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    with tempfile.TemporaryDirectory(prefix="pollama-bench-") as folder:
        for part, found in measure(arguments, Path(folder)):
            results[part] = found
            write(results, arguments.output)
    print(document(results))


if __name__ == "__main__":
    main()
