"""What a command line of ``benchmark`` asks to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pollama.cli.errors import CliError
from pollama.types.json import Json
from pollama.types.multigpu import parse_strategy


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: a model under a strategy on some devices (none: any)."""

    model: str
    strategy: str
    devices: tuple[str, ...]

    @property
    def wish(self) -> dict[str, Json]:
        """The ``multi_gpu`` field of its requests."""
        chosen: Json = list(self.devices) if self.devices else "auto"
        return {"strategy": self.strategy, "gpu_selection": chosen}


def numbers(flag: str, text: str) -> list[int]:
    """Return the numbers of a list such as ``1,4,16``. Raises CliError, which names the flag."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise CliError(f"--{flag} must be a list of numbers from 1 up such as 1,4,16, not {text!r}")
    return found


def strategies(text: str) -> list[str]:
    """Return the strategies of a list such as ``data,pipeline_parallel``. Raises CliError."""
    try:
        return [str(parse_strategy(part.strip())) for part in text.split(",")]
    except ValueError as error:
        raise CliError(f"--strategy {error}, not {text!r}") from None


def first_devices(topology: Json, count: int) -> tuple[str, ...]:
    """Return the ids of the first ``count`` devices, GPUs before the others; none for 0. Raises CliError."""
    devices: Sequence[Json] = sorted(topology["devices"], key=lambda device: device["kind"] == "cpu")
    if count > len(devices):
        raise CliError(f"{count} devices are asked for, the server has {len(devices)}")
    return tuple(device["id"] for device in devices[:count])


def models_of_sizes(tags: Json, sizes: str) -> list[str]:
    """Return stored models whose size (``7B``) is in a list such as ``7b,13b``. Raises CliError where there is none."""
    wanted = [size.strip().upper() for size in sizes.split(",")]
    found = {model["details"]["parameter_size"].upper(): model["name"] for model in reversed(tags["models"])}
    missing = [size for size in wanted if size not in found]
    if missing:
        stored = ", ".join(sorted(found)) or "none"
        raise CliError(f"--model-sizes: no stored model has {missing[0]} parameters (stored: {stored})")
    return [found[size] for size in wanted]
