"""What would be done with a model: the layouts that it may have, without loading anything. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pollama.scheduler.placement import Refusal, alternatives
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory
from pollama.scheduler.scaling import is_as_good
from pollama.scheduler.state import Replica, model_key
from pollama.types.model import Model
from pollama.types.multigpu import Wish
from pollama.types.options import Options
from pollama.types.plans import PlanPreview

_NOTHING: Final = Wish()


def preview(
    model: Model,
    options: Options,
    memory: Memory,
    replicas: Iterable[Replica],
    policy: Policy,
    *,
    wish: Wish = _NOTHING,
) -> PlanPreview:
    """Plan ``model`` as if it was not loaded, beside the ``replicas`` of other models where that is possible."""
    others = [replica.plan for replica in replicas if replica.key != model_key(model)]
    ideal = alternatives(model, options, memory.spaces([]), policy, wish=wish, known=memory.known)
    if isinstance(ideal, Refusal):
        return PlanPreview(refusal=ideal.reason)
    beside = alternatives(model, options, memory.spaces(others), policy, wish=wish, known=memory.known)
    fits = not isinstance(beside, Refusal) and is_as_good(beside[0].plans[0], ideal[0].plans[0])
    layouts = beside if fits and not isinstance(beside, Refusal) else ideal
    return PlanPreview(plans=layouts[0].plans, fits_now=fits, alternatives=tuple(layouts))
