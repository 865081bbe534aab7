"""``list``, ``ps``, ``cp``, ``rm`` and ``stop``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from pollama.cli.client import Client
from pollama.cli.command import ANY, ONE, SOME, TWO, command, stderr, stdout
from pollama.cli.connection import connect
from pollama.cli.errors import ApiError, CliError
from pollama.cli.table import table
from pollama.types.human import human_bytes, human_time
from pollama.types.json import Json

_ID_DIGITS: Final = 12
_ZERO_YEAR: Final = 1


@command("list", ANY)
def list_models(arguments: tuple[str, ...]) -> None:
    """Print a table of the stored models whose names begin with the first argument."""
    print(model_table(connect(), *arguments[:1]), end="")


def model_table(client: Client, prefix: str = "") -> str:
    """Return the table of stored models whose names begin with ``prefix``, in any case."""
    models = client.get("/api/tags")["models"]
    rows = [
        (
            model["name"],
            model["digest"][:_ID_DIGITS],
            "-" if model.get("remote_model") else human_bytes(model["size"]),
            human_time(nanoseconds_since(model["modified_at"]), "Never"),
        )
        for model in models
        if model["name"].lower().startswith(prefix.lower())
    ]
    return table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


@command("ps", ANY)
def ps(arguments: tuple[str, ...]) -> None:
    """Print a table of the loaded models whose names begin with the first argument."""
    models: Iterable[Json] = connect().get("/api/ps")["models"]
    prefix = arguments[0] if arguments else ""
    rows = [
        (
            model["name"],
            model["digest"][:_ID_DIGITS],
            human_bytes(model["size"]),
            processor(model["size"], model["size_vram"]),
            str(model.get("context_length", 0)),
            _until(model["expires_at"]),
        )
        for model in models
        if model["name"].startswith(prefix)
    ]
    print(table(("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows), end="")


def processor(size: int, gpu_size: int) -> str:
    """Return where the bytes of a model lie, in percent."""
    if gpu_size == 0:
        return "100% CPU"
    if gpu_size == size:
        return "100% GPU"
    if size == 0 or gpu_size > size:
        return "Unknown"
    cpu = int((Decimal(size - gpu_size) / size * 100).quantize(Decimal(1), ROUND_HALF_UP))
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def _until(expires_at: str) -> str:
    age = nanoseconds_since(expires_at)
    return "Stopping..." if age is not None and age > 0 else human_time(age, "Never")


def nanoseconds_since(timestamp: str) -> int | None:
    """Return the age of an RFC 3339 time, negative for a time to come, None for the zero time."""
    moment = datetime.fromisoformat(timestamp)
    if moment.year == _ZERO_YEAR:
        return None
    return (datetime.now(UTC) - moment) // timedelta(microseconds=1) * 1000


@command("cp SOURCE DESTINATION", TWO, models=1)
def cp(arguments: tuple[str, ...]) -> None:
    """Copy a model."""
    source, destination = arguments
    connect().post("/api/copy", {"source": source, "destination": destination})
    stdout(f"copied '{source}' to '{destination}'")


@command("rm MODEL [MODEL...]", SOME, models=math.inf)
def rm(arguments: tuple[str, ...]) -> None:
    """Unload and delete models, up to the first that fails."""
    client = connect()
    for name in arguments:
        try:
            unload(client, name)
        except ApiError as error:
            if error.status != 404:
                stderr(f"Warning: unable to stop model '{name}'")
        client.delete("/api/delete", {"model": "", "name": name})
        stdout(f"deleted '{name}'")


@command("stop MODEL", ONE, models=1)
def stop(arguments: tuple[str, ...]) -> None:
    """Unload a model."""
    (name,) = arguments
    try:
        unload(connect(), name)
    except ApiError as error:
        if error.status == 404:
            raise CliError(f'couldn\'t find model "{name}" to stop') from error
        raise


def unload(client: Client, name: str) -> None:
    """Ask the server to unload a model. Raises ApiError, with status 404 for an unknown one."""
    for _ in client.stream("/api/generate", {"model": name, "prompt": "", "keep_alive": 0}):
        pass
