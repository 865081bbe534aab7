"""Settings as plain data: for JSON, for YAML and for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

from pollama.config import SETTINGS, Config, Source
from pollama.config.declare import Setting
from pollama.config.rules import rule_as_written
from pollama.types.address import ServerAddress
from pollama.types.cores import CpuPartition, core_ranges
from pollama.types.json import Json
from pollama.types.multigpu import ModelRule
from pollama.types.requests import FOREVER


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting with its value as one writes it in YAML, and where that comes from."""

    setting: Setting
    value: Json
    source: Source


def shown(config: Config) -> Iterator[Shown]:
    """Yield all settings in their order of declaration."""
    for setting in SETTINGS:
        value = getattr(config, setting.name)
        yield Shown(setting, as_written(value), config.sources.get(setting.name, "default"))


def nested(values: Mapping[str, Json]) -> dict[str, Json]:
    """Return mappings in mappings for dotted keys."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *folders, name = key.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return tree


@singledispatch
def as_written(value: Any) -> Json:
    """Return a value as one writes it in YAML; without end is -1."""
    return -1 if value == FOREVER else value


@as_written.register
def _(value: tuple) -> Json:  # type: ignore[type-arg]  # singledispatch takes a class
    return [as_written(item) for item in value]


@as_written.register
def _(value: Mapping) -> Json:  # type: ignore[type-arg]
    return {key: as_written(item) for key, item in value.items()}


@as_written.register
def _(value: Path) -> Json:
    return str(value)


@as_written.register
def _(value: ServerAddress) -> Json:
    return value.netloc


@as_written.register
def _(value: ModelRule) -> Json:
    return rule_as_written(value)


@as_written.register
def _(value: CpuPartition) -> Json:
    limit = {} if value.memory_bytes is None else {"memory": value.memory_bytes}
    return {"cores": core_ranges(value.cores), **limit}
