"""Settings that are mappings of their own: rules for single models and memory limits of single devices.

Both raise ConfigError whose text begins with the place inside the mapping: ``.llama3.replicas must be ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pollama.errors import ConfigError
from pollama.types.cores import parse_size
from pollama.types.multigpu import ModelRule, parse_strategy


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number from 1 up")
    return value


def _strategy(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a strategy")
    return parse_strategy(value)


def _devices(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not items or not all(isinstance(item, str) and item for item in items):
        raise ValueError("must be a list of ids or names of devices")
    return tuple(items)


_RULE_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "strategy": ("strategy", _strategy),
    "replicas": ("replicas", _count),
    "affinity": ("devices", _devices),
    "num_ctx": ("num_ctx", _count),
    "slots": ("slots", _count),
    "num_batch": ("num_batch", _count),
    "threads": ("threads", _count),
}
"""The keys of a rule, with the field that each of them sets."""


def parse_rules(models: Mapping[object, object]) -> Mapping[str, ModelRule]:
    """Return the rules of a mapping from model names to mappings. Names without a tag mean ``latest``."""
    return MappingProxyType({_model(name): _rule(f".{name}", rule) for name, rule in models.items()})


def _model(name: object) -> str:
    text = str(name)
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"


def _rule(place: str, rule: object) -> ModelRule:
    if not isinstance(rule, Mapping):
        raise ConfigError(f"{place} must be a mapping with {', '.join(_RULE_FIELDS)}, not {rule!r}")
    return ModelRule(**dict(_rule_field(place, key, value) for key, value in rule.items()))


def _rule_field(place: str, key: object, value: object) -> tuple[str, Any]:
    if not isinstance(key, str) or key not in _RULE_FIELDS:
        raise ConfigError(f"{place}: unknown key {key!r} (known: {', '.join(_RULE_FIELDS)})")
    name, parse = _RULE_FIELDS[key]
    try:
        return name, parse(value)
    except ValueError as error:
        raise ConfigError(f"{place}.{key} {error}, not {value!r}") from None


def parse_limits(devices: Mapping[object, object]) -> Mapping[str, int]:
    """Return bytes by device id or name, of a mapping to sizes such as ``8GiB``."""
    return MappingProxyType({str(name): _limit(f".{name}", size) for name, size in devices.items()})


def _limit(place: str, size: object) -> int:
    try:
        if isinstance(size, bool) or not isinstance(size, (int, str)):
            raise ValueError
        return parse_size(str(size))
    except ValueError:
        raise ConfigError(f"{place} must be a size such as 8GiB, not {size!r}") from None


def rule_as_written(rule: ModelRule) -> dict[str, Any]:
    """Return the mapping that ``parse_rules`` reads as ``rule``."""
    values = {key: getattr(rule, name) for key, (name, _) in _RULE_FIELDS.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items() if value}
