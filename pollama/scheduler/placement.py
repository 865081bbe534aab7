"""Which devices a model goes to: a pure function of what is free.

In order of preference: one GPU; several GPUs of one kind, by layers; GPUs for the last blocks and the CPU for the
others; one CPU device alone, the one with fewest replicas and then most free memory. ``num_gpu`` and ``main_gpu``
narrow the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pollama.scheduler.capacity import DEFAULT_BATCH, context_lengths, single
from pollama.scheduler.estimate import footprint
from pollama.scheduler.fitting import Space, Team, fit
from pollama.scheduler.policy import GIB, Policy
from pollama.types.model import Model, ModelSpec
from pollama.types.options import Options
from pollama.types.plans import Plan


@dataclass(frozen=True, slots=True)
class Refusal:
    """No plan exists. ``reason`` has the numbers."""

    reason: str


def place(
    model: Model, options: Options, spaces: Sequence[Space], policy: Policy, *, reduced: bool = False
) -> Plan | Refusal:
    """Return the best plan for one replica in the free ``spaces``, or what is missing.

    An automatic context length is reduced in steps before the model is refused; ``reduced`` begins one step lower.
    """
    spec = model.stored.spec
    if spec is None or model.stored.weights is None:
        return Refusal(f"{model.stored.short_name} has no weights that could be loaded")
    contexts = context_lengths(model, options, policy, [space.device for space in spaces])
    for context in contexts[1:] if reduced and len(contexts) > 1 else contexts:
        for team in _teams(spec, options, spaces, policy):
            plan = fit(model, options, context, team, policy)
            if plan is not None:
                return plan
    return _refusal(model, options, contexts[-1], spaces, policy)


def _teams(spec: ModelSpec, options: Options, spaces: Sequence[Space], policy: Policy) -> Iterator[Team]:
    """Yield the sets of devices to try, best first."""
    hosts = sorted((space for space in spaces if not space.device.is_gpu), key=lambda space: -space.free)
    host = hosts[0] if hosts else None
    groups = _groups(spaces) if options.num_gpu != 0 else []
    singles = _singles(groups, options.main_gpu)
    if options.main_gpu is not None and singles:
        alone, together = [], [singles[:1]]
    else:
        alone, together = [] if policy.spread else [[single] for single in singles], groups
    everything = spec.layer_count + 1
    blocks = min(options.num_gpu, everything) if options.num_gpu >= 0 else everything
    yield from (Team(tuple(gpus), host, blocks) for gpus in (*alone, *together))
    if options.num_gpu < 0:
        yield from (Team(tuple(gpus), host, None) for gpus in together)
    if options.num_gpu <= 0:
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


def _refusal(model: Model, options: Options, context: int, spaces: Sequence[Space], policy: Policy) -> Refusal:
    shape = single(context, DEFAULT_BATCH)
    need = footprint(model, shape, policy.kv_type, flash_attention=policy.flash_attention is not False)
    usable = [space for space in spaces if options.num_gpu != 0 or not space.device.is_gpu]
    there = ", ".join(
        f"{space.device.name or space.device.id}: {max(0, space.free) / GIB:.1f} of "
        f"{space.device.capacity_bytes / GIB:.1f} GiB"
        for space in usable
    )
    return Refusal(
        f"model requires more memory ({need.total / GIB:.1f} GiB with a context of {context} tokens) "
        f"than is available ({there or 'no device'})"
    )
