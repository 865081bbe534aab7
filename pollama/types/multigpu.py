"""What a user may ask of several devices: strategies, how devices are weighed, how requests are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

Strategy = Literal["auto", "data", "pipeline", "tensor", "hybrid"]
"""``data``: replicas; ``pipeline``: one layer split; ``tensor``: llama.cpp's tensor split; ``hybrid``: replicas of
layer splits; ``auto``: what the cost model finds best."""
LoadBalancing = Literal["prefix", "round_robin", "least_loaded", "performance_aware"]
"""``prefix``: the longest cached prefix, then the fewest outstanding tokens."""
Algorithm = Literal["memory_only", "performance_aware", "power_aware"]
Profile = Literal["balanced", "latency", "throughput"]

_SYNONYMS: Final = {"data_parallel": "data", "tensor_parallel": "tensor", "pipeline_parallel": "pipeline"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """When replicas move by themselves: at a busy share above ``threshold``, once per ``cooldown`` (seconds)."""

    enabled: bool = False
    threshold: float = 0.8
    cooldown: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """What is settled for one model. None or nothing: as for every other model.

    ``devices`` are ids or names of the only devices that it may use; ``slots`` sequences per replica.
    """

    strategy: Strategy | None = None
    replicas: int | None = None
    devices: tuple[str, ...] = ()
    num_ctx: int | None = None
    slots: int | None = None
    num_batch: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiGpu:
    """The settings for several devices.

    ``replicas`` is how many a model may have, ``tensor_size`` and ``pipeline_size`` how many devices one replica is
    split over (0 = as the planner finds best). ``coordination_overhead`` is the share by which a plan that mixes
    vendors is taken to be slower. ``corrections`` tells whether predictions are corrected by what ran. ``rules`` go by
    the short name of a model.
    """

    enabled: bool = False
    strategy: Strategy = "auto"
    tensor_size: int = 0
    pipeline_size: int = 0
    replicas: int = 0
    load_balancing: LoadBalancing = "prefix"
    algorithm: Algorithm = "performance_aware"
    cross_vendor: bool = True
    coordination_overhead: float = 0.0
    migration: Migration = field(default_factory=Migration)
    corrections: bool = True
    rules: Mapping[str, ModelRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The ``multi_gpu`` field of a request: what it asks of the replica that serves it.

    ``devices`` None means any. A replica that was loaded for another wish does not serve it.
    """

    strategy: Strategy = "auto"
    devices: tuple[str, ...] | None = None
    profile: Profile = "balanced"


def parse_strategy(text: str) -> Strategy:
    """Return a strategy, which may be spelled as ``tensor_parallel``. Raises ValueError."""
    return cast("Strategy", _one_of(get_args(Strategy), _SYNONYMS.get(text, text)))


def parse_load_balancing(text: str) -> LoadBalancing:
    """Return a way to spread requests over replicas. Raises ValueError."""
    return cast("LoadBalancing", _one_of(get_args(LoadBalancing), text))


def parse_algorithm(text: str) -> Algorithm:
    """Return a way to weigh devices. Raises ValueError."""
    return cast("Algorithm", _one_of(get_args(Algorithm), text))


def parse_profile(text: str) -> Profile:
    """Return what a request wants to be good at. Raises ValueError."""
    return cast("Profile", _one_of(get_args(Profile), text))


def _one_of(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    return text
