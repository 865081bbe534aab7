"""``gpus`` and ``plan``: the devices of the server, and what it would do with a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from pollama.cli import flags
from pollama.cli.command import NONE, ONE, command, stdout
from pollama.cli.connection import connect
from pollama.cli.errors import CliError
from pollama.cli.table import table
from pollama.errors import PollamaError
from pollama.types.cores import core_ranges
from pollama.types.human import human_bytes
from pollama.types.json import Json


@command("gpus", NONE)
def gpus(arguments: tuple[str, ...]) -> None:
    """Print a table of the devices, CPU devices included, and one of what joins them."""
    client = connect()
    devices: Sequence[Json] = client.get("/api/multigpu/status")["devices"]
    print(table(("ID", "KIND", "NAME", "CORES", "MEMORY", "FREE", "REPLICAS"), list(map(_device_row, devices))), end="")
    links: Sequence[Json] = client.get("/api/multigpu/topology")["links"]
    if links:
        rows = [(link["from"], link["to"], link["kind"], str(link.get("distance", "-"))) for link in links]
        print("\n" + table(("FROM", "TO", "LINK", "DISTANCE"), rows), end="")


def _device_row(device: Json) -> tuple[str, ...]:
    return (
        device["id"],
        device["kind"],
        device["name"],
        core_ranges(device.get("cores", [])) or "-",
        human_bytes(device.get("memory_limit") or device["memory_total"]),
        human_bytes(device["memory_free"]),
        str(device["replicas"]),
    )


@command("plan MODEL", ONE, models=1)
@flags.text("--devices", is_path=True, help="File that describes devices to plan for, without a server")
def plan(arguments: tuple[str, ...], *, devices: str) -> None:
    """Print what the server would do with a model, or what one with other devices would.

    Raises CliError with the reason where it would refuse, or for a file that cannot be understood.
    """
    (name,) = arguments
    planned = _on_paper(name, devices) if devices else connect().get(f"/api/multigpu/plan?model={quote(name, safe='')}")
    if not planned["possible"]:
        raise CliError(planned["reason"])
    _print_replicas(planned)
    if planned.get("alternatives"):
        _print_alternatives(planned["alternatives"])


def _on_paper(name: str, devices: str) -> Json:
    from pollama.cli.paper import plan_on_paper  # noqa: PLC0415  (a plan of the server does without the planner)

    try:
        return plan_on_paper(name, Path(devices))
    except PollamaError as error:
        raise CliError(str(error)) from error


def _print_replicas(planned: Json) -> None:
    rows = [row for number, replica in enumerate(planned["replicas"], 1) for row in _share_rows(number, replica)]
    print(
        table(("REPLICA", "DEVICE", "LAYERS", "WEIGHTS", "KV CACHE", "COMPUTE", "CONTEXT", "SEQUENCES"), rows), end=""
    )
    if not planned["fits_now"]:
        stdout("\nOther models have to leave first.")


def _print_alternatives(alternatives: Sequence[Json]) -> None:
    rows = [
        (
            "*" if number == 0 else "",
            layout["strategy"],
            f"{layout['throughput']:.1f}",
            str(len(layout["replicas"])),
            layout["reason"],
        )
        for number, layout in enumerate(alternatives)
    ]
    print("\n" + table(("CHOSEN", "STRATEGY", "TOKENS/S", "REPLICAS", "REASON"), rows), end="")


def _share_rows(number: int, replica: Json) -> Iterable[tuple[str, ...]]:
    for share in replica["shares"]:
        yield (
            str(number),
            share["device"],
            str(share["layers"]),
            human_bytes(share["weights"]),
            human_bytes(share["kv_cache"]),
            human_bytes(share["compute"]),
            str(replica["context_length"]),
            str(replica["sequences"]),
        )


@command("migrate-models", NONE)
@flags.switch("--multi-gpu", help="Over all devices, which is the only way there is")
def migrate_models(arguments: tuple[str, ...], *, multi_gpu: bool) -> None:
    """Plan all loaded models anew and print the replicas that move. Requests in flight finish."""
    moves: Sequence[Json] = connect().post("/api/multigpu/rebalance", {})["moves"]
    if not moves:
        stdout("All replicas are where they should be.")
        return
    rows = [
        (move["model"], str(move["replica"]), ", ".join(move["from"]), _where(move), move["reason"]) for move in moves
    ]
    stdout(table(("MODEL", "REPLICA", "FROM", "TO", "REASON"), rows).rstrip("\n"))


def _where(move: Json) -> str:
    return ", ".join(move["to"]) if move["to"] else "-"
