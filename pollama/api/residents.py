"""Loaded models and their replicas."""

from __future__ import annotations

from collections.abc import Iterable

from pollama.types.ports import Resident


def by_model(residents: Iterable[Resident]) -> list[list[Resident]]:
    """Return the replicas of each model, in the order of their first."""
    models: dict[str, list[Resident]] = {}
    for resident in residents:
        models.setdefault(resident.model.stored.name, []).append(resident)
    return list(models.values())
