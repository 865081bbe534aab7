"""The command ``benchmark``: builds the cases, runs them against the server, prints tables or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Final

from pollama.cli import flags
from pollama.cli.benchmark.cases import Case, first_devices, models_of_sizes, numbers, strategies
from pollama.cli.benchmark.load import Measured, Work, measure
from pollama.cli.client import Client
from pollama.cli.command import NONE, command, stderr, stdout
from pollama.cli.local_server import server_for
from pollama.cli.table import table
from pollama.config import Config
from pollama.types.human import human_bytes
from pollama.types.json import Json
from pollama.types.speed import Percentiles

_HEADER: Final = ("MODEL", "STRATEGY", "DEVICES", "CLIENTS", "TOKENS/S")
_LATENCY: Final = ("FIRST p50", "p95", "p99 ms", "TOKEN p50", "p95", "p99 ms")
_MEMORY: Final[tuple[str, ...]] = (
    "MODEL",
    "STRATEGY",
    "REPLICA",
    "DEVICE",
    "LAYERS",
    "WEIGHTS",
    "KV CACHE",
    "COMPUTE",
    "CELLS",
)


@dataclass(frozen=True, slots=True)
class Result:
    """A case with what was measured; ``replicas`` are those of /api/multigpu/models."""

    case: Case
    clients: int
    measured: Measured
    replicas: Sequence[Json]

    @property
    def devices(self) -> str:
        """The devices that served, replicas apart: ``cpu:0+cpu:1 | cpu:2+cpu:3``."""
        return " | ".join("+".join(replica["devices"]) for replica in self.replicas)


@command("benchmark", NONE)
@flags.text("--model", help="Model to ask", default="demo")
@flags.text("--strategy", help="Strategies to compare: auto, data, pipeline, tensor, hybrid", default="auto")
@flags.integer("--gpus", help="Use only so many devices")
@flags.integer("--stages", help="Stages of a layer split: so many devices")
@flags.integer("--tensor-size", help="Devices of a tensor split inside a hybrid", default=1)
@flags.integer("--pipeline-size", help="Stages of a layer split inside a hybrid", default=1)
@flags.text("--batch-sizes", help="Numbers of clients that ask at the same time", default="1,4,16")
@flags.text("--model-sizes", help="Compare stored models of these sizes (7b,13b)")
@flags.integer("--prompt-tokens", help="About so many tokens in a prompt", default=64)
@flags.integer("--tokens", help="Most tokens of an answer", default=64)
@flags.integer("--rounds", help="Requests of each client", default=2)
@flags.switch("--latency", help="Show the time to the first token and between tokens")
@flags.switch("--memory", help="Show what lies on which device")
@flags.switch("--kv-cache-distribution", help="With --memory: only the KV cache")
@flags.switch("--cross-gpu-sharing", help="With --memory: layers and their KV cache side by side")
@flags.switch("--multi-gpu", help="Over several devices, as the server is set up")
@flags.switch("--json", help="Print JSON")
def benchmark(arguments: tuple[str, ...], **options: Any) -> None:
    """Measure a running server, or one that is started for it. Raises CliError with what the server refuses."""
    with server_for(Config.load()) as client:
        results = list(_run(client, options))
    if options["json"]:
        stdout(json.dumps([_record(result) for result in results], indent=2))
        return
    stdout(_memory_table(results, options) if options["memory"] else _speed_table(results, options))


def _run(client: Client, options: dict[str, Any]) -> Iterator[Result]:
    clients = numbers("batch-sizes", options["batch_sizes"])
    last = None
    for case, count in product(list(_cases(client, options)), clients):
        if case is not last:
            _unload(client, case.model)
        last = case
        _say(f"{case.model}, {case.strategy}, {count} client{'s' if count > 1 else ''} ...")
        work = Work(
            model=case.model,
            clients=count,
            rounds=max(1, options["rounds"]),
            prompt=options["prompt_tokens"],
            answer=options["tokens"],
            wish=case.wish,
        )
        measured = measure(client.address.url, work)
        yield Result(case, count, measured, _replicas(client, case.model))


def _cases(client: Client, options: dict[str, Any]) -> Iterator[Case]:
    models = [options["model"]]
    if options["model_sizes"]:
        models = models_of_sizes(client.get("/api/tags"), options["model_sizes"])
    inside = options["tensor_size"] * options["pipeline_size"]
    count = options["gpus"] or options["stages"] or (inside if inside > 1 else 0)
    devices = first_devices(client.get("/api/multigpu/topology"), count)
    chosen = strategies(options["strategy"])
    if (devices or chosen != ["auto"]) and not client.get("/api/multigpu/status")["enabled"]:
        stderr("warning: strategies and devices have no effect on this server: multi_gpu.enabled is false")
    for model, strategy in product(models, chosen):
        yield Case(model, strategy, devices)


def _unload(client: Client, model: str) -> None:
    """Let a case begin with a load of its own: what is loaded for another one may serve it as well."""
    client.post("/api/generate", {"model": model, "prompt": "", "keep_alive": 0, "stream": False})


def _replicas(client: Client, model: str) -> Sequence[Json]:
    name = model if ":" in model else f"{model}:latest"
    loaded: Sequence[Json] = client.get("/api/multigpu/models")["models"]
    return [replica for found in loaded if found["name"] == name for replica in found["replicas"]]


def _say(text: str) -> None:
    if sys.stderr.isatty():
        stderr(text)


def _speed_table(results: Sequence[Result], options: dict[str, Any]) -> str:
    header = (*_HEADER, *(_LATENCY if options["latency"] else ()))
    return table(header, [_speed_row(result, with_latency=options["latency"]) for result in results]).rstrip("\n")


def _speed_row(result: Result, *, with_latency: bool) -> tuple[str, ...]:
    measured = result.measured
    row = (
        result.case.model, result.case.strategy, result.devices, str(result.clients), f"{measured.throughput:.1f}",
    )  # fmt: skip
    return (*row, *_milliseconds(measured.first_token), *_milliseconds(measured.token)) if with_latency else row


def _milliseconds(times: Percentiles) -> tuple[str, ...]:
    return tuple(f"{1e3 * seconds:.1f}" for seconds in (times.p50, times.p95, times.p99))


def _memory_table(results: Sequence[Result], options: dict[str, Any]) -> str:
    shown = _MEMORY
    if options["kv_cache_distribution"]:
        shown = ("MODEL", "STRATEGY", "REPLICA", "DEVICE", "KV CACHE", "CELLS")
    elif options["cross_gpu_sharing"]:
        shown = ("MODEL", "STRATEGY", "REPLICA", "DEVICE", "LAYERS", "KV CACHE")
    rows = dict.fromkeys(row for result in results for row in _memory_rows(result))
    places = [_MEMORY.index(name) for name in shown]
    return table(shown, [[row[place] for place in places] for row in rows]).rstrip("\n")


def _memory_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for replica in result.replicas:
        plan = replica["plan"]
        for share in plan["shares"]:
            yield (
                result.case.model,
                result.case.strategy,
                str(replica["id"]),
                share["device"],
                str(share["layers"]),
                human_bytes(share["weights"]),
                human_bytes(share["kv_cache"]),
                human_bytes(share["compute"]),
                str(plan["cells"]),
            )


def _record(result: Result) -> dict[str, Json]:
    return {
        "model": result.case.model,
        "strategy": result.case.strategy,
        "clients": result.clients,
        **asdict(result.measured),
        "replicas": list(result.replicas),
    }
