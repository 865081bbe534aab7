"""Compares what replicas have computed with what was expected of it, and corrects further predictions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pollama.scheduler.placement import expected_seconds
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory
from pollama.scheduler.state import Replica
from pollama.types.generation import RunnerStatus

_ENOUGH: Final = 2.0
"""Seconds inside the engine that say something."""


def learn(memory: Memory, replicas: Iterable[Replica], statuses: Mapping[int, RunnerStatus], policy: Policy) -> None:
    """Take note of how long the ``replicas`` were busy with what they did, by their ``statuses``.

    Groups of one split are left out: they wait for each other inside the engine.
    """
    spaces = memory.spaces([])
    for replica in replicas:
        status = statuses.get(replica.id)
        if status is None or status.busy_seconds < _ENOUGH or not status.steps or replica.plan.groups > 1:
            continue
        expected = expected_seconds(replica.model, replica.options, replica.plan, spaces, policy, status=status)
        if expected > 0:
            memory.known.corrections.learn(replica.key, replica.plan, expected=expected, taken=status.busy_seconds)
