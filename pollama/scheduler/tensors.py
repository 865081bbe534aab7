"""The layout ``tensor``: several devices that work on every layer together. Pure.

GPUs of one kind inside one runner, where llama.cpp can split the architecture; or CPU devices, whose cores become those
of one engine. That engine has one memory: where CPU devices have limits of their own, one of them must have room for
all of it, and the others lend their cores. Who asks for the layout gets it where only all together have room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pollama.scheduler.fitting import Space, Team
from pollama.scheduler.ground import Ground, speed_beside
from pollama.types.plans import Alternative, Plan

_MOST_DEVICES: Final = 8
_UNSUPPORTED: Final = frozenset(
    (
        *("bailingmoe3", "bitnet", "deepseek2", "deepseek32", "dots3note", "falcon-h1", "gemma3n", "glm-dsa"),
        *("glm5-next", "granitehybrid", "grok", "hy_v4", "jamba", "kimi-k3", "kimi-linear", "mamba", "mamba2"),
        *("minicpm3", "minimax-01", "minimax-m2", "minimax-m3", "mistral4", "mpt", "nemotron_h", "nemotron_h_moe"),
        *("olmo2", "olmoe", "plamo2", "qwen3tts", "qwen4exp", "t5"),
    )
)
"""Architectures of which llama.cpp refuses a tensor split over GPUs."""


def tensor(ground: Ground) -> Alternative | None:
    """Return the best tensor split over two devices or more, or None."""
    plans = [plan for pool in _pools(ground) for plan in _plans(ground, pool)]
    best = max(plans, key=lambda plan: ground.case.work.rate_together([ground.case.engine(plan)]), default=None)
    if best is None:
        return None
    count = sum(1 for share in best.shares if share.layers)
    cores = best.gpu_layers == 0
    return ground.case.alternative(
        "tensor", [best], f"one engine on the cores of {count} devices" if cores else f"each layer on {count} devices"
    )


def _pools(ground: Ground) -> Iterator[list[Space]]:
    spec = ground.case.model.stored.spec
    splits = (
        spec is not None and spec.architecture not in _UNSUPPORTED and ground.case.policy.flash_attention is not False
    )
    for kind in dict.fromkeys(space.device.kind for space in ground.usable):
        if kind == "cpu" or splits:
            yield [space for space in ground.usable if space.device.kind == kind]


def _plans(ground: Ground, pool: Sequence[Space]) -> Iterator[Plan]:
    """Yield tensor splits over the fastest devices of a pool, with ever more of them."""
    ranked = pool[:_MOST_DEVICES]
    size = ground.case.asked.tensor_size if ground.case.asked.tensor_size > 1 else 0
    for count in (size,) if size else range(2, len(ranked) + 1):
        chosen = tuple(ranked[:count])
        if len(chosen) == count:
            plan = _plan(ground, chosen)
            if plan is not None:
                yield plan


def _plan(ground: Ground, chosen: tuple[Space, ...]) -> Plan | None:
    host = ground.host if chosen[0].device.is_gpu else None
    blocks = ground.case.layers
    for parts in _parts(ground, chosen):
        plan = ground.case.fit(Team(chosen, host, blocks, parts=parts))
        if plan is not None:
            return plan
    return None


def _parts(ground: Ground, chosen: Sequence[Space]) -> Iterator[tuple[float, ...]]:
    """Yield how large each device's part of a layer may be: by speed on GPUs, and by memory."""
    rooms = [max(1, ground.case.room(space)) for space in chosen]
    if chosen[0].device.is_gpu:
        yield _shares_of([speed_beside(space).bandwidth for space in chosen])
    elif any(space.device.limit_bytes is not None for space in chosen):
        largest = rooms.index(max(rooms))
        yield tuple(float(number == largest) for number in range(len(chosen)))
        if ground.case.asked.strategy != "tensor":
            return
    yield _shares_of(rooms)


def _shares_of(values: Sequence[float]) -> tuple[float, ...]:
    total = sum(values)
    return tuple(value / total for value in values)
