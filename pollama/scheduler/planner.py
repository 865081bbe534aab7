"""Weighs the layouts that a model may have on several devices, and chooses one. Pure.

The layouts are those of ``replicas``, ``splits`` and ``tensors``; what a request, a rule or the settings ask for
narrows them. The fastest wins, with ``power_aware`` the one with most tokens per joule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pollama.scheduler.capacity import context_lengths
from pollama.scheduler.fitting import Space
from pollama.scheduler.ground import Ground
from pollama.scheduler.policy import Policy
from pollama.scheduler.replicas import one_replica, replicas
from pollama.scheduler.rules import Asked
from pollama.scheduler.speeds import Links
from pollama.scheduler.splits import best_split, hybrid, pipeline, stage_count
from pollama.scheduler.tensors import tensor
from pollama.types.model import Model
from pollama.types.multigpu import Strategy
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan

_LAYOUTS: Final[dict[Strategy, Callable[[Ground], Alternative | None]]] = {
    "data": replicas,
    "tensor": tensor,
    "pipeline": pipeline,
    "hybrid": hybrid,
}


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be placed, on what terms."""

    model: Model
    options: Options
    policy: Policy
    asked: Asked
    links: Links

    @property
    def layers(self) -> int:
        """Number of blocks, the output included."""
        spec = self.model.stored.spec
        return 0 if spec is None else spec.layer_count + 1

    def contexts(self, spaces: Sequence[Space], *, reduced: bool = False) -> list[int]:
        """Return the context lengths to try in turn; an automatic one begins a step lower when ``reduced``."""
        lengths = context_lengths(self.model, self.options, self.policy, [space.device for space in spaces])
        return lengths[1:] if reduced and len(lengths) > 1 else lengths

    def may_use(self, space: Space) -> bool:
        """Tell whether blocks may go to a device."""
        return (self.options.num_gpu != 0 or not space.device.is_gpu) and self.asked.allows(space.device)


def weigh(task: Task, spaces: Sequence[Space], *, reduced: bool = False) -> list[Alternative]:
    """Return the layouts that are possible in the free ``spaces``, the best one first; none: it fits nowhere.

    An automatic context length is reduced in steps before a model is refused; ``reduced`` begins one step lower.
    """
    weighed = (_weighed(_ground(task, context, spaces)) for context in task.contexts(spaces, reduced=reduced))
    return next((layouts for layouts in weighed if layouts), [])


def predicted(task: Task, plan: Plan, spaces: Sequence[Space]) -> Alternative:
    """Return a layout with one plan that has been chosen otherwise, and with several devices enabled its speed."""
    if not task.policy.multi_gpu.enabled:
        return Alternative(strategy="data", plans=(plan,), tokens_per_second=0.0)
    return _ground(task, plan.context_length, spaces).alternative(plan.strategy, [plan])


def another(task: Task, like: Plan, spaces: Sequence[Space]) -> Plan | None:
    """Return a plan for a further replica like one that is there, with the same context length, or None.

    It has to make the two of them faster together than the one alone.
    """
    ground = _ground(task, like.context_length, spaces)
    plan = one_replica(ground) if like.strategy == "data" else best_split(ground, stage_count(like))
    if plan is None:
        return None
    engines = [ground.engine(like), ground.engine(plan)]
    by_speed = ground.asked.algorithm != "memory_only"
    if by_speed and ground.rate(engines) < ground.rate(engines[:1]):
        return None
    return ground.alternative(like.strategy, [plan]).plans[0]


def _ground(task: Task, context: int, spaces: Sequence[Space]) -> Ground:
    usable = [space for space in spaces if space.free > 0 and task.may_use(space)]
    return Ground(
        model=task.model,
        options=task.options,
        context=context,
        policy=task.policy,
        asked=task.asked,
        spaces=spaces,
        usable=usable,
        links=task.links,
        demand=task.asked.demand(len(usable)),
    )


def _weighed(ground: Ground) -> list[Alternative]:
    found = [layout for strategy in _wanted(ground.asked) if (layout := _LAYOUTS[strategy](ground)) is not None]
    return sorted(found, key=lambda layout: (_is_experimental(ground, layout), -_worth(ground, layout)))


def _wanted(terms: Asked) -> Sequence[Strategy]:
    if terms.strategy != "auto":
        return (terms.strategy,)
    return ("data",) if terms.algorithm == "memory_only" else tuple(_LAYOUTS)


def _is_experimental(ground: Ground, layout: Alternative) -> bool:
    """Tell a tensor split over GPUs, which llama.cpp calls experimental: it is shown, and chosen when asked for."""
    return ground.asked.strategy == "auto" and layout.strategy == "tensor" and layout.plans[0].gpu_layers > 0


def _worth(ground: Ground, layout: Alternative) -> float:
    speed = layout.tokens_per_second
    return speed / ground.watts(layout.plans) if ground.asked.algorithm == "power_aware" else speed
