"""Weighs the layouts that a model may have on several devices, and chooses one. Pure.

The layouts are those of ``replicas``, ``pipelines`` and ``tensors``; what a request, a rule or the settings ask for
narrows them. The fastest wins, with ``power_aware`` the one with most tokens per joule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.scheduler.capacity import DEFAULT_BATCH, context_lengths, is_automatic, single
from pollama.scheduler.corrections import Known
from pollama.scheduler.costs import Work
from pollama.scheduler.estimate import footprint
from pollama.scheduler.fitting import Space, has_room
from pollama.scheduler.ground import TOO_SLOW, Case, Ground
from pollama.scheduler.pipelines import hybrid, pipeline
from pollama.scheduler.policy import Policy
from pollama.scheduler.replicas import one_replica, replicas
from pollama.scheduler.rules import Asked
from pollama.scheduler.splits import best_split, stage_count
from pollama.scheduler.tensors import tensor
from pollama.types.generation import RunnerStatus
from pollama.types.model import Model
from pollama.types.multigpu import Strategy
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan

_FASTEST: Final = 128
_LARGEST: Final = 64
"""Of more devices than these together, only the fastest and the largest of the others are looked at."""
DIVIDED: Final = 0.9
"""What a prediction for a model over several devices counts: it waits for each, whatever else that has to do."""

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
    known: Known

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
    return _ground(task, plan.context_length, spaces).case.alternative(plan.strategy, [plan])


def another(task: Task, like: Plan, spaces: Sequence[Space]) -> Plan | None:
    """Return a plan for a further replica like one that is there, with the same context length, or None.

    It must not be much slower than that one.
    """
    if like.groups > 1:
        return like if has_room(like, spaces) else None
    ground = _ground(task, like.context_length, spaces)
    plan = one_replica(ground) if like.strategy == "data" else best_split(ground, stage_count(like))
    if plan is None:
        return None
    case = ground.case
    slow = case.work.rate(case.engine(plan), case.clients) < TOO_SLOW * case.work.rate(case.engine(like), case.clients)
    if slow and case.asked.algorithm != "memory_only":
        return None
    return case.alternative(like.strategy, [plan]).plans[0]


def busy_seconds(task: Task, plan: Plan, spaces: Sequence[Space], status: RunnerStatus) -> float:
    """Return how long what a runner has done is expected to take; 0 for a plan on devices that are gone."""
    case = _ground(task, plan.context_length, spaces).case
    if not all(share.device in case.devices for share in plan.shares):
        return 0.0
    return case.work.busy_seconds(
        case.engine(plan), steps=status.steps, decoded=status.decoded_tokens, prefilled=status.prefill_tokens
    )


def _ground(task: Task, context: int, spaces: Sequence[Space]) -> Ground:
    usable = [space for space in spaces if space.free > 0 and task.may_use(space)]
    flash = task.policy.flash_attention is not False
    batch = DEFAULT_BATCH if is_automatic(task.options, "num_batch") else max(1, task.options.num_batch)
    base = single(context, batch)
    need, more = (
        footprint(task.model, shape, task.policy.kv_type, flash_attention=flash)
        for shape in (base, replace(base, sequences=2, cells=2 * base.cells))
    )
    case = Case(
        model=task.model,
        options=task.options,
        context=context,
        policy=task.policy,
        asked=task.asked,
        known=task.known,
        work=Work(task.model, task.policy.kv_type, task.asked.demand(len(usable))),
        base=base,
        need=need,
        sequence_bytes=sum(more.kv) - sum(need.kv),
        devices={space.device.id: space.device for space in spaces},
    )
    return Ground(case, _considered(case, usable), [space for space in spaces if not space.device.is_gpu])


def _considered(case: Case, usable: Sequence[Space]) -> list[Space]:
    """Return the devices that can matter, the most worthy ones first: those, and those with most room."""
    rates = {space.device.id: case.worth(case.rate_alone(space, case.clients), [space.device]) for space in usable}
    ranked = sorted(usable, key=lambda space: (-rates[space.device.id], -space.free, space.device.id))
    if len(ranked) <= _FASTEST + _LARGEST:
        return ranked
    large = sorted(ranked[_FASTEST:], key=lambda space: -space.free)[:_LARGEST]
    kept = {space.device.id for space in (*ranked[:_FASTEST], *large)}
    return [space for space in ranked if space.device.id in kept]


def _weighed(ground: Ground) -> list[Alternative]:
    found = [layout for strategy in _wanted(ground.case.asked) if (layout := _LAYOUTS[strategy](ground)) is not None]
    return sorted(found, key=lambda layout: (_is_experimental(ground.case, layout), -_promise(ground.case, layout)))


def _promise(case: Case, layout: Alternative) -> float:
    """Return what a layout is worth when it is chosen between: what is divided has to be clearly better."""
    return case.worth_of(layout) * (1.0 if layout.plans[0].split == "none" else DIVIDED)


def _wanted(terms: Asked) -> Sequence[Strategy]:
    if terms.strategy != "auto":
        return (terms.strategy,)
    return ("data",) if terms.algorithm == "memory_only" else tuple(_LAYOUTS)


def _is_experimental(case: Case, layout: Alternative) -> bool:
    """Tell a tensor split over GPUs, which llama.cpp calls experimental: it is shown, and chosen when asked for."""
    return case.asked.strategy == "auto" and layout.strategy == "tensor" and layout.plans[0].gpu_layers > 0
