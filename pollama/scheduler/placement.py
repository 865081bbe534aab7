"""Which devices a model goes to: a pure function of what is free.

With several devices enabled, the planner chooses. Otherwise, and where ``num_gpu``, ``main_gpu`` or
``OLLAMA_SCHED_SPREAD`` say where layers go, it is by memory, in order of preference: one GPU; several GPUs of one kind,
by layers; GPUs for the last blocks and the CPU for the others; one CPU device alone, the one with fewest replicas and
then most free memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pollama.scheduler.capacity import DEFAULT_BATCH, single
from pollama.scheduler.corrections import NOTHING, Known
from pollama.scheduler.estimate import footprint
from pollama.scheduler.fitting import Space, Team, fit
from pollama.scheduler.planner import Task, another, busy_seconds, predicted, weigh
from pollama.scheduler.policy import GIB, Policy
from pollama.scheduler.rules import Asked, asked, ruled_options, ruled_policy
from pollama.types.generation import RunnerStatus
from pollama.types.model import Model
from pollama.types.multigpu import Wish
from pollama.types.options import Options
from pollama.types.plans import Alternative, Plan


@dataclass(frozen=True, slots=True)
class Refusal:
    """No plan exists. ``reason`` has the numbers; ``is_mistake``: a request asks for what does not exist."""

    reason: str
    is_mistake: bool = False


_ANY: Final = Wish()


def place(
    model: Model,
    options: Options,
    spaces: Sequence[Space],
    policy: Policy,
    *,
    wish: Wish = _ANY,
    known: Known = NOTHING,
    reduced: bool = False,
) -> Plan | Refusal:
    """Return the best plan for one replica in the free ``spaces``, or what is missing.

    An automatic context length is reduced in steps before the model is refused; ``reduced`` begins one step lower.
    """
    layouts = alternatives(model, options, spaces, policy, wish=wish, known=known, reduced=reduced)
    return layouts if isinstance(layouts, Refusal) else layouts[0].plans[0]


def alternatives(
    model: Model,
    options: Options,
    spaces: Sequence[Space],
    policy: Policy,
    *,
    wish: Wish = _ANY,
    known: Known = NOTHING,
    reduced: bool = False,
) -> list[Alternative] | Refusal:
    """Return the layouts that a model may have in the free ``spaces``, the best one first, or what is missing."""
    if model.stored.spec is None or model.stored.weights is None:
        return Refusal(f"{model.stored.short_name} has no weights that could be loaded")
    terms = asked(model, policy, wish)
    if unknown := terms.unknown(spaces):
        reason = f"there is no device {unknown[0]!r}, which {model.stored.short_name} is asked to use"
        return Refusal(reason, is_mistake=unknown[0] in (wish.devices or ()))
    task = _task(model, options, policy, terms, known)
    layouts = [] if _goes_by_memory(task, spaces) else weigh(task, spaces, reduced=reduced)
    if layouts:
        return layouts
    if terms.strategy in {"auto", "data"} and terms.devices is None:
        plan = _by_memory(task, spaces, reduced=reduced)
        return plan if isinstance(plan, Refusal) else [predicted(task, plan, spaces)]
    return _refusal(task, spaces)


def place_another(
    model: Model,
    options: Options,
    like: Plan,
    spaces: Sequence[Space],
    policy: Policy,
    *,
    wish: Wish = _ANY,
    known: Known = NOTHING,
) -> Plan | None:
    """Return a plan for a further replica of the layout that ``like`` is part of, or None where it is not worth it."""
    return another(_task(model, options, policy, asked(model, policy, wish), known), like, spaces)


def expected_seconds(
    model: Model, options: Options, plan: Plan, spaces: Sequence[Space], policy: Policy, *, status: RunnerStatus
) -> float:
    """Return how long what a runner has done was expected to take inside the engine, uncorrected."""
    return busy_seconds(_task(model, options, policy, asked(model, policy, _ANY), NOTHING), plan, spaces, status)


def _task(model: Model, options: Options, policy: Policy, terms: Asked, known: Known) -> Task:
    return Task(model, ruled_options(model, options, policy), ruled_policy(model, policy), terms, known)


def _goes_by_memory(task: Task, spaces: Sequence[Space]) -> bool:
    """Tell whether nobody wants speed to count, or options of Ollama say to which GPUs the layers go."""
    chosen = task.options.num_gpu > 0 or task.options.main_gpu is not None
    chosen = chosen and any(space.device.is_gpu for space in spaces)
    return chosen or task.policy.spread or not task.policy.multi_gpu.enabled


def _by_memory(task: Task, spaces: Sequence[Space], *, reduced: bool) -> Plan | Refusal:
    for context in task.contexts(spaces, reduced=reduced):
        for team in _teams(task, spaces):
            plan = fit(task.model, task.options, context, team, task.policy)
            if plan is not None:
                return plan
    return _refusal(task, spaces)


def _teams(task: Task, spaces: Sequence[Space]) -> Iterator[Team]:
    """Yield the sets of devices to try, best first. Where there is no GPU, ``num_gpu`` asks for nothing."""
    options = task.options
    hosts = sorted((space for space in spaces if not space.device.is_gpu), key=lambda space: -space.free)
    host = hosts[0] if hosts else None
    groups = _groups(spaces) if options.num_gpu != 0 else []
    singles = _singles(groups, options.main_gpu)
    if options.main_gpu is not None and singles:
        alone, together = [], [singles[:1]]
    else:
        alone, together = [] if task.policy.spread else [[single] for single in singles], groups
    everything = task.layers
    blocks = min(options.num_gpu, everything) if options.num_gpu >= 0 else everything
    yield from (Team(tuple(gpus), host, blocks) for gpus in (*alone, *together))
    if options.num_gpu < 0:
        yield from (Team(tuple(gpus), host, None) for gpus in together)
    if options.num_gpu <= 0 or not groups:
        yield from (Team((), space, 0) for space in sorted(hosts, key=lambda space: space.residents))


def _groups(spaces: Sequence[Space]) -> list[list[Space]]:
    """Return the GPUs by kind: kinds with a discrete one first, then those with most free memory."""
    kinds = dict.fromkeys(space.device.kind for space in spaces if space.device.is_gpu)
    groups = [[space for space in spaces if space.device.kind == kind] for kind in kinds]
    return sorted(
        groups,
        key=lambda group: (all(space.device.integrated for space in group), -sum(space.free for space in group)),
    )


def _singles(groups: Sequence[Sequence[Space]], main_gpu: int | None) -> list[Space]:
    """Return the GPUs that may hold a model alone: discrete ones first, then those with most free memory.

    ``main_gpu`` counts inside each kind; an index that no kind has is ignored.
    """
    chosen = [group[main_gpu] for group in groups if main_gpu is not None and 0 <= main_gpu < len(group)]
    candidates = chosen or [space for group in groups for space in group]
    return sorted(candidates, key=lambda space: (space.device.integrated, -space.free))


def _refusal(task: Task, spaces: Sequence[Space]) -> Refusal:
    """Say what is missing: the strategy's devices, or memory on those that are there."""
    context = task.contexts(spaces)[-1]
    flash = task.policy.flash_attention is not False
    need = footprint(task.model, single(context, DEFAULT_BATCH), task.policy.kv_type, flash_attention=flash)
    usable = [space for space in spaces if task.may_use(space)]
    there = ", ".join(
        f"{space.device.name or space.device.id}: {max(0, space.free) / GIB:.1f} of "
        f"{space.device.capacity_bytes / GIB:.1f} GiB"
        for space in usable
    )
    how = "" if task.asked.strategy == "auto" else f" with the strategy {task.asked.strategy}"
    return Refusal(
        f"model requires more memory ({need.total / GIB:.1f} GiB with a context of {context} tokens) "
        f"than is available{how} ({there or 'no device'})"
    )
