"""The plot: tokens per second and time to the first token, by number of clients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.serve.figures import spread

_LOOKS = {"pollama": ("#1b7f5c", "o"), "llama-server": ("#b0532a", "s")}


def write_plot(results: Mapping[str, Any], path: Path) -> None:
    """Draw the short prompts of the part 'same' into an SVG; nothing where they were not measured."""
    by_model: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in results.get("same", {}).get("records", ()):
        if record["load"] == "short":
            by_model[record["model"]].append(record)
    if not by_model:
        return
    mpl.rcParams["svg.hashsalt"] = "pollama"  # the same figures make the same file
    figure = Figure(figsize=(4 * len(by_model), 6), layout="constrained")
    axes = figure.subplots(2, len(by_model), squeeze=False)
    for column, (model, records) in enumerate(by_model.items()):
        _draw(axes[0][column], records, "tokens_per_second", 1.0, "tokens/s")
        _draw(axes[1][column], records, "first_p95", 1000.0, "first token p95, ms")
        axes[0][column].set_title(model)
    axes[0][0].legend()
    figure.savefig(path, metadata={"Date": None})


def _draw(axes: Axes, records: Sequence[Mapping[str, Any]], name: str, unit: float, label: str) -> None:
    """Draw one figure over the number of clients, each median with its spread."""
    clients = [record["clients"] for record in records]
    for server, (colour, marker) in _LOOKS.items():
        spreads = [spread(record["servers"][server], name) for record in records]
        middle = [unit * one.median for one in spreads]
        reach = [
            [unit * (one.median - one.least) for one in spreads],
            [unit * (one.greatest - one.median) for one in spreads],
        ]
        axes.errorbar(clients, middle, reach, label=server, color=colour, marker=marker, capsize=3)
    axes.set_xscale("log", base=4)
    axes.set_xticks(clients, map(str, clients))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clients")
    axes.set_ylabel(label)
