"""What would be done with a model: the plans of its replicas, without loading anything. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pollama.scheduler.placement import Refusal, place
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory
from pollama.scheduler.scaling import is_as_good, most_replicas, plan_another, spaces_without
from pollama.scheduler.state import Replica, model_key
from pollama.types.model import Model
from pollama.types.options import Options
from pollama.types.plans import Plan, PlanPreview


def preview(model: Model, options: Options, memory: Memory, replicas: Iterable[Replica], policy: Policy) -> PlanPreview:
    """Plan ``model`` as if it was not loaded, beside the ``replicas`` of other models where that is possible."""
    others = [replica.plan for replica in replicas if replica.key != model_key(model)]
    ideal = place(model, options, memory.spaces([]), policy)
    if isinstance(ideal, Refusal):
        return PlanPreview(refusal=ideal.reason)
    beside = place(model, options, memory.spaces(others), policy)
    fits = isinstance(beside, Plan) and is_as_good(beside, ideal)
    plans = [beside if isinstance(beside, Plan) and fits else ideal]
    neighbours = others if fits else []
    while len(plans) < most_replicas(plans[0], policy, memory.devices):
        spaces = spaces_without(memory.spaces([*neighbours, *plans]), plans)
        another = plan_another(model, options, plans[0], spaces, policy)
        if another is None:
            break
        plans.append(another)
    return PlanPreview(plans=tuple(plans), fits_now=fits)
