"""What a user may ask of several devices: strategies and how requests are spread over replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from pollama.errors import ConfigError

Strategy = Literal["auto", "data"]
LoadBalancing = Literal["round_robin", "least_loaded", "performance_aware"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiGpu:
    """The settings for several devices. ``replicas`` is how many a model may have (0 = one per device)."""

    enabled: bool = False
    strategy: Strategy = "auto"
    replicas: int = 0
    load_balancing: LoadBalancing = "least_loaded"


_SYNONYMS: Final = {"data_parallel": "data", "tensor_parallel": "tensor", "pipeline_parallel": "pipeline"}
_ABSENT: Final = ("tensor", "pipeline", "hybrid")


def parse_strategy(text: str) -> Strategy:
    """Return a strategy. Raises ConfigError for one that is known but does not exist yet, ValueError for others."""
    name = _SYNONYMS.get(text, text)
    if name in _ABSENT:
        raise ConfigError(f": the strategy {text!r} does not exist yet in this version; there are auto and data")
    if name not in get_args(Strategy):
        raise ValueError("not a strategy")
    return cast("Strategy", name)


def parse_load_balancing(text: str) -> LoadBalancing:
    """Return a way to spread requests over replicas. Raises ValueError."""
    if text not in get_args(LoadBalancing):
        raise ValueError("not a way to balance load")
    return cast("LoadBalancing", text)
