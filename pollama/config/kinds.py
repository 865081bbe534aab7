"""The types of settings: how a value is read from an environment variable and from YAML.

The environment follows Ollama's rules, which take almost any text; a YAML file is held to its types, because there is
no older file to be kind to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pollama.config.rules import parse_limits, parse_rules
from pollama.types.address import ServerAddress
from pollama.types.cores import parse_partitions
from pollama.types.human import parse_duration
from pollama.types.multigpu import parse_algorithm, parse_load_balancing, parse_strategy
from pollama.types.requests import FOREVER

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_MAX_UINT: Final = 2**64 - 1


def parse_bool(text: str) -> bool:
    """Return False for the spellings of false that Go knows, True for every other text ("off" included)."""
    return text not in _FALSE


def parse_uint(text: str) -> int:
    """Return an unsigned 64-bit decimal integer. Raises ValueError for signs, separators and other bases."""
    if not re.fullmatch("[0-9]+", text) or int(text) > _MAX_UINT:
        raise ValueError("not an unsigned integer")
    return int(text)


def parse_seconds(text: str) -> float:
    """Return seconds of a Go duration or of whole seconds. Raises ValueError."""
    return float(text) if re.fullmatch(r"[+-]?[0-9]+", text) else parse_duration(text) / 1e9


def keep_alive_seconds(seconds: float) -> float:
    """Return ``seconds``, or FOREVER when they are negative or more nanoseconds than 64 bits hold."""
    return FOREVER if seconds < 0 or seconds * 1e9 >= 2**63 else float(seconds)


def load_timeout_seconds(seconds: float) -> float:
    """Return ``seconds`` as ``keep_alive_seconds``; zero means FOREVER too."""
    return keep_alive_seconds(seconds) or FOREVER


def parse_debug(text: str) -> int:
    """Return a log level on Ollama's scale: 0 info, -4 debug, -8 trace. Anything that is no level is info."""
    if text in _TRUE or text in _FALSE:
        return -4 if text in _TRUE else 0
    return -4 * int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else 0


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting. ``parse`` reads text, ``native`` are the YAML types that ``convert`` takes as they are.

    Either may raise ConfigError with what follows the name of the setting: ``[1].cores: ...``.
    """

    label: str
    parse: Callable[[str], Any]
    native: tuple[type, ...] = (str,)
    convert: Callable[[Any], Any] = lambda value: value

    def from_yaml(self, value: object) -> Any:
        """Return the setting's value for a YAML value. Raises ValueError or TypeError for another type."""
        if isinstance(value, bool) and bool not in self.native:
            raise TypeError("a boolean")
        if isinstance(value, str) and str in self.native:
            return self.parse(value)
        if not isinstance(value, self.native):
            raise TypeError(type(value).__name__)
        return self.convert(value)


def _unsigned(value: int) -> int:
    return parse_uint(str(value))


def _strings(value: list[object]) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in value):
        raise TypeError("a list with something that is not text")
    return tuple(str(item) for item in value)


def _indexes(text: str) -> tuple[int, ...]:
    return tuple(parse_uint(part.strip()) for part in text.split(","))


def _index_list(values: list[object]) -> tuple[int, ...]:
    return tuple(parse_uint(str(value)) for value in values)


def _share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("not a share")
    return float(value)


def _not_negative(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError("negative or without end")
    return float(value)


def choice(*names: str) -> Kind:
    """Return the kind of a setting that is one of ``names``."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError("not a choice")
        return text

    return Kind(f"one of {', '.join(names)}", parse)


def mapping(label: str, convert: Callable[[Any], Any]) -> Kind:
    """Return the kind of a setting that is a mapping of its own, in YAML only."""
    return Kind(label, str, (Mapping,), convert)


BOOL: Final = Kind("boolean", parse_bool, (bool,))
UINT: Final = Kind("unsigned integer", parse_uint, (int,), _unsigned)
TEXT: Final = Kind("text", str)
PATH: Final = Kind("path", Path)
TEXTS: Final = Kind("comma separated list", _parse_list, (str, list), _strings)
INDEXES: Final = Kind("list of device numbers", _indexes, (str, list), _index_list)
SHARE: Final = Kind("share above 0, up to 1", lambda text: _share(float(text)), (int, float), _share)
FACTOR: Final = Kind("number from 0 up", lambda text: _not_negative(float(text)), (int, float), _not_negative)
SECONDS: Final = Kind("duration", lambda text: _not_negative(parse_seconds(text)), (str, int, float), _not_negative)
ADDRESS: Final = Kind("address", ServerAddress.parse)
PARTITIONS: Final = Kind("list of core sets", str, (list,), parse_partitions)
LIMITS: Final = mapping("mapping of devices to sizes", parse_limits)
RULES: Final = mapping("mapping of models to rules", parse_rules)
STRATEGY: Final = Kind("strategy (auto, data, pipeline, tensor or hybrid)", parse_strategy)
BALANCING: Final = Kind("load balancing (prefix, round_robin, least_loaded or performance_aware)", parse_load_balancing)
ALGORITHM: Final = Kind("algorithm (memory_only, performance_aware or power_aware)", parse_algorithm)
LOG_LEVEL: Final = Kind("level", parse_debug, (str, bool, int), lambda value: parse_debug(str(value)))
KEEP_ALIVE: Final = Kind(
    "duration", lambda text: keep_alive_seconds(parse_seconds(text)), (str, int, float), keep_alive_seconds
)
TIMEOUT: Final = Kind(
    "duration", lambda text: load_timeout_seconds(parse_seconds(text)), (str, int, float), load_timeout_seconds
)
