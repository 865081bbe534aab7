"""How fast a replica has answered."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Seconds that half, 95 and 99 of 100 samples did not exceed; 0 without samples."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What was measured where the answers of a replica arrive.

    ``throughput`` in tokens/s over the last minute, all sequences together. ``first_token`` counts from the moment that
    the replica was asked, ``token`` between tokens of one sequence; both of the last answers. ``requests`` counts the
    answers that have begun.
    """

    throughput: float = 0.0
    first_token: Percentiles = field(default_factory=Percentiles)
    token: Percentiles = field(default_factory=Percentiles)
    requests: int = 0
