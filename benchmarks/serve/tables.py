"""The tables that are made from the figures of all rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.serve.figures import Spread, ratio, spread

Record = Mapping[str, Any]
OURS: Final = "pollama"
THEIRS: Final = "llama-server"
BEGIN: Final = "<!-- benchmarks.serve: begin -->\n"
END: Final = "<!-- benchmarks.serve: end -->"
"""Between these lines a page has the tables."""
_MIB: Final = 2**20


def document(results: Mapping[str, Any]) -> str:
    """Return all tables in Markdown."""
    makers = {"same": same, "defaults": against_all, "busy": against_all, "front": front, "start": start}
    parts = [
        f"{_TITLES[part]}\n\n{_conditions(results[part]['conditions'])}\n\n{maker(results[part]['records'])}"
        for part, maker in makers.items()
        if part in results
    ]
    return "\n\n".join(parts) + "\n"


def inserted(page: str, text: str) -> str:
    """Return ``page`` with ``text`` in place of what stands between its marks; as it is where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{text}\n{end}{after}" if end else page


_TITLES: Final = {
    "same": "### Same threads, context, slots and model",
    "defaults": "### Defaults, as users start them",
    "busy": "### Defaults, beside a program that keeps one core busy",
    "front": "### What HTTP costs",
    "start": "### Starting",
}


def _conditions(of: Mapping[str, Any]) -> str:
    return (
        f"{of['processor']}, {of['cores']} cores, load average {of['load average before']:.1f} at the beginning, "
        f"{of['date']}; {of['threads']} threads, {of['rounds']} rounds of {of['seconds']:g} s each, medians."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def same(records: Sequence[Record]) -> str:
    """Return throughput and latency side by side: pollama / llama-server."""
    head = [
        "model", "clients", "load", "tokens/s", "ratio (spread)", "first token p50, ms", "p95, ms", "p99, ms",
        "ratio p95", "between tokens p50, ms", "p99, ms", "prompt tokens/s", "head, ms/token", "all, ms/token",
        "memory, MiB",
    ]  # fmt: skip
    return table(head, map(_same_row, records))


def _same_row(of: Record) -> list[str]:
    rounds = of["servers"]
    ours, theirs = rounds[OURS], rounds[THEIRS]

    def both(name: str, show: Callable[[float], str]) -> str:
        return f"{show(spread(ours, name).median)} / {show(spread(theirs, name).median)}"

    return [
        of["model"],
        str(of["clients"]),
        of["load"],
        both("tokens_per_second", whole),
        spread_text(ratio(ours, theirs, "tokens_per_second")),
        both("first_p50", milliseconds),
        both("first_p95", milliseconds),
        both("first_p99", milliseconds),
        number(ratio(ours, theirs, "first_p95").median),
        both("gap_p50", milliseconds),
        both("gap_p99", milliseconds),
        both("prefill_per_second", whole) if of["clients"] == 1 else "",
        precise(spread(ours, "front_per_token").median),
        both("processor_per_token", precise),
        both("bytes", mebibytes),
    ]


def against_all(records: Sequence[Record]) -> str:
    """Return the throughput of each server and its ratio to llama-server, one row per server."""
    head = ["model", "clients", "server", "tokens/s", "against llama-server (spread)", "first token p95, ms"]
    return table(head, (row for record in records for row in _server_rows(record)))


def _server_rows(of: Record) -> Iterable[list[str]]:
    theirs = of["servers"][THEIRS]
    for name, rounds in of["servers"].items():
        speed = whole(spread(rounds, "tokens_per_second").median)
        against = spread_text(ratio(rounds, theirs, "tokens_per_second"))
        first = milliseconds(spread(rounds, "first_p95").median)
        yield [of["model"], str(of["clients"]), name, speed, against, first]


def front(records: Sequence[Record]) -> str:
    """Return what streaming over HTTP takes away from the engine's speed."""
    head = ["model", "clients", "over HTTP, tokens/s", "bare engine, tokens/s", "ratio (spread)"]
    return table(head, map(_front_row, records))


def _front_row(of: Record) -> list[str]:
    http, engine = of["servers"][OURS], of["servers"]["engine"]
    speeds = [whole(spread(rounds, "tokens_per_second").median) for rounds in (http, engine)]
    return [of["model"], str(of["clients"]), *speeds, spread_text(ratio(http, engine, "tokens_per_second"))]


def start(records: Sequence[Record]) -> str:
    """Return cold starts, quick commands and memory at rest."""
    head = ["model", "llama-server, s", "pollama, s", "ratio", "pollama, server running, s", "ratio"]
    facts = [(name, value) for name, value in records[0].items() if name not in ("model", "cold")]
    rows = [[name, megabytes(value) if name.startswith("head") else f"{value:.2f} s"] for name, value in facts]
    return f"{table(head, map(_start_row, records))}\n\n{table(['', 'median'], rows)}"


def _start_row(of: Record) -> list[str]:
    cold = of["cold"]
    theirs = cold[THEIRS]
    cells = [of["model"], f"{statistics.median(theirs):.2f}"]
    for name in (OURS, "pollama, server running"):
        against = Spread.of([mine / other for mine, other in zip(cold[name], theirs, strict=True)])
        cells += [f"{statistics.median(cold[name]):.2f}", spread_text(against)]
    return cells


def spread_text(values: Spread) -> str:
    """Return a median with its least and greatest value."""
    return f"{number(values.median)} ({number(values.least)} to {number(values.greatest)})"


def _or_dash(show: Callable[[float], str]) -> Callable[[float], str]:
    return lambda value: "–" if math.isnan(value) else show(value)


number: Final = _or_dash(lambda value: f"{value:.2f}")
whole: Final = _or_dash(lambda value: f"{value:.0f}")
milliseconds: Final = _or_dash(lambda value: f"{1000 * value:.0f}" if value >= 0.01 else f"{1000 * value:.1f}")
precise: Final = _or_dash(lambda value: f"{1000 * value:.3f}")
mebibytes: Final = _or_dash(lambda value: f"{value / _MIB:.0f}")
megabytes: Final = _or_dash(lambda value: f"{value / 1e6:.0f} MB")
