"""Muon: momentum whose update is made orthogonal, which trains small transformers in fewer steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonal(updates: Tensor, rounds: int = 5) -> Tensor:
    """Nearly orthogonal versions of the matrices [count, rows, columns], by Newton-Schulz."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = updates.shape[-2] > updates.shape[-1]
    x = updates.mT if tall else updates
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for matrices; equal shapes are handled together."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update each weight from its gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes[weight.shape].append(weight)
            for weights in shapes.values():
                self._update(weights, group["lr"], group["momentum"])

    def _update(self, weights: list[Tensor], lr: float, momentum: float) -> None:
        updates = torch.stack([self._smoothed(weight, momentum) for weight in weights])
        rows, columns = updates.shape[1:]
        scale = lr * max(1.0, rows / columns) ** 0.5
        for weight, update in zip(weights, orthogonal(updates), strict=True):
            weight.sub_(update, alpha=scale)

    def _smoothed(self, weight: Tensor, momentum: float) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"]
        assert weight.grad is not None
        velocity.lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(velocity, momentum)
