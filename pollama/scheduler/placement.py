"""Which devices a model goes to, and how many of its blocks to each: a pure function of what is free.

In order of preference: one GPU; several GPUs of one kind, by layers; GPUs for the last blocks and the CPU for the
others; the CPU alone. ``num_gpu`` and ``main_gpu`` narrow the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from pollama.scheduler.capacity import batch_size, context_lengths, shapes, single
from pollama.scheduler.estimate import CacheShape, Footprint, footprint, generates
from pollama.scheduler.policy import GIB, Policy
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.options import Options
from pollama.types.plans import Plan, Share

_SMALLEST_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Space:
    """A device and the bytes on it that a plan may take."""

    device: Device
    free: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """No plan exists. ``reason`` has the numbers."""

    needed: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Team:
    """Devices that may share one model: GPUs in stage order, and the CPU for what they do not hold."""

    gpus: tuple[Space, ...]
    host: Space | None
    blocks: int | None = None
    """A chosen number of blocks on the GPUs; None = as many as fit."""


def place(model: Model, options: Options, spaces: Sequence[Space], policy: Policy) -> Plan | Refusal:
    """Return the best plan for one replica in the free ``spaces``, or what is missing.

    An automatic context length is reduced in steps before the model is refused.
    """
    spec = model.stored.spec
    if spec is None or model.stored.weights is None:
        return Refusal(0, f"{model.stored.short_name} has no weights that could be loaded")
    contexts = context_lengths(model, options, policy, [space.device for space in spaces])
    for context in contexts:
        for team in _teams(model, options, context, spaces, policy):
            plan = _Placer(model, options, context, team, policy).plan()
            if plan is not None:
                return plan
    return _refusal(model, options, contexts[-1], spaces, policy)


def _teams(model: Model, options: Options, context: int, spaces: Sequence[Space], policy: Policy) -> Iterator[_Team]:
    """Yield the sets of devices to try, best first."""
    host = max((space for space in spaces if not space.device.is_gpu), key=lambda space: space.free, default=None)
    everything = (model.stored.spec.layer_count + 1) if model.stored.spec else 0
    groups = _groups(spaces) if options.num_gpu != 0 else []
    singles = _singles(groups, options)
    groups = [singles[:1]] if options.main_gpu is not None and singles else groups
    if not (policy.spread and options.main_gpu is None):
        yield from (_Team((space,), host, everything) for space in singles if options.num_gpu < 0)
    wanted = min(options.num_gpu, everything) if options.num_gpu > 0 else everything
    if options.num_gpu > 0:
        yield from (_Team((space,), host, wanted) for space in singles)
    yield from (_Team(tuple(group), host, wanted) for group in groups)
    if options.num_gpu < 0:
        yield from (_Team(tuple(group), host) for group in groups)
    if options.num_gpu <= 0:
        yield _Team((), host, 0)


def _groups(spaces: Sequence[Space]) -> list[list[Space]]:
    """Return the GPUs by kind: with a discrete one first, then most free memory; most free first inside each."""
    kinds = dict.fromkeys(space.device.kind for space in spaces if space.device.is_gpu)
    groups = [[space for space in spaces if space.device.kind == kind] for kind in kinds]
    return sorted(
        groups,
        key=lambda group: (all(space.device.integrated for space in group), -sum(space.free for space in group)),
    )


def _singles(groups: Sequence[Sequence[Space]], options: Options) -> list[Space]:
    """Return the GPUs that may hold a model alone: discrete first, then most free memory.

    ``main_gpu`` counts inside each kind; an index that no kind has is ignored.
    """
    index = options.main_gpu
    chosen = [group[index] for group in groups if index is not None and 0 <= index < len(group)]
    candidates = chosen or [space for group in groups for space in group]
    return sorted(candidates, key=lambda space: (space.device.integrated, -space.free))


class _Placer:
    """Fits one model with one context length to one team."""

    def __init__(self, model: Model, options: Options, context: int, team: _Team, policy: Policy) -> None:
        self._model = model
        self._options = options
        self._context = context
        self._team = team
        self._policy = policy

    def plan(self) -> Plan | None:
        """Return the plan with the largest cache that fits, or None when not even one sequence does."""
        base = single(self._context, _SMALLEST_BATCH)
        least = self._footprint(base)
        gpus = sum(space.free for space in self._team.gpus) if self._team.gpus else None
        batch = batch_size(
            self._model, self._options, self._context, least.total, gpus, scores_kept=self._keeps_scores()
        )
        base = replace(base, batch=batch)
        least = self._footprint(base)
        blocks = self._blocks(least)
        if blocks is None:
            return None
        for shape in self._shapes(base, least, blocks):
            shares = self._shares(self._footprint(shape), blocks)
            if shares is not None:
                return self._finished(shape, shares, blocks)
        return None

    def _footprint(self, shape: CacheShape) -> Footprint:
        flash = self._policy.flash_attention is not False
        return footprint(self._model, shape, self._policy.kv_type, flash_attention=flash)

    def _keeps_scores(self) -> bool:
        cuda = any(space.device.kind == "cuda" for space in self._team.gpus)
        return cuda and self._policy.flash_attention is False

    def _blocks(self, need: Footprint) -> int | None:
        """Return how many blocks (the output counts as one) go to the GPUs."""
        if self._team.blocks is not None:
            return self._team.blocks if self._shares(need, self._team.blocks) is not None else None
        fitting = (n for n in range(len(need.weights), 0, -1) if self._shares(need, n) is not None)
        return next(fitting, None)

    def _shapes(self, base: CacheShape, least: Footprint, blocks: int) -> Iterator[CacheShape]:
        two = replace(base, sequences=2, cells=2 * base.cells)
        sequence_bytes = sum(self._footprint(two).kv) - sum(least.kv)
        gpu_only = blocks == len(least.weights)
        hosts = (self._team.host,) if self._team.host and not gpu_only else ()
        holders = (*(self._team.gpus if blocks else ()), *hosts)
        return shapes(
            base,
            self._policy,
            generating=generates(self._model),
            headroom=sum(space.free for space in holders) - least.total,
            sequence_bytes=sequence_bytes,
            weight_bytes=sum(least.weights),
        )

    def _shares(self, need: Footprint, blocks: int) -> tuple[Share, ...] | None:
        """Return each device's part when the last ``blocks`` blocks are on the GPUs, or None when it does not fit."""
        first = len(need.weights) - blocks
        counts = _layer_counts(need, first, self._team.gpus)
        gpus = self._gpu_shares(need, first, counts)
        host = self._host_share(need, first)
        if host is None:
            return gpus
        room = self._team.host is not None and host.total_bytes <= self._team.host.free
        return (*gpus, host) if gpus is not None and room else None

    def _gpu_shares(self, need: Footprint, first: int, counts: Sequence[int]) -> tuple[Share, ...] | None:
        shares: list[Share] = []
        for space, count in zip(self._team.gpus, counts, strict=True):
            last = first + count
            share = Share(
                device=space.device.id,
                layers=count,
                weight_bytes=sum(need.weights[first:last]) + (need.attached if not shares else 0),
                kv_bytes=sum(need.kv[first:last]),
                compute_bytes=need.compute + (need.logits if last == len(need.weights) else 0),
            )
            if count and share.total_bytes > space.free:
                return None
            if count:
                shares.append(share)
            first = last
        return tuple(shares)

    def _host_share(self, need: Footprint, first: int) -> Share | None:
        """Return the CPU's part: the blocks before ``first`` and always the embedding; None without a CPU device."""
        host = self._team.host
        alone = first == len(need.weights)
        if host is None and first == 0:
            return None
        return Share(
            device=host.device.id if host else "",
            layers=first,
            weight_bytes=sum(need.weights[:first]) + need.embedding + (need.attached if alone else 0),
            kv_bytes=sum(need.kv[:first]),
            compute_bytes=(need.compute if first else 0) + (need.logits if alone else 0),
        )

    def _finished(self, shape: CacheShape, shares: tuple[Share, ...], blocks: int) -> Plan:
        host = self._team.host.device if self._team.host else None
        names = [share.device for share in shares if share.layers]
        return Plan(
            shares=shares,
            sequences=shape.sequences,
            context_length=shape.context_length,
            cells=shape.cells,
            shared_cells=shape.shared_cells,
            batch=shape.batch,
            gpu_layers=blocks,
            split="layer" if sum(1 for share in shares if share.layers and self._on_gpu(share)) > 1 else "none",
            threads=max(0, self._options.num_thread) or (len(host.cores) if host else 0),
            reason=f"{blocks} of {len(self._footprint(shape).weights)} layers on GPUs; on {', '.join(names)}",
        )

    def _on_gpu(self, share: Share) -> bool:
        return any(space.device.id == share.device for space in self._team.gpus)


def _layer_counts(need: Footprint, first: int, gpus: Sequence[Space]) -> list[int]:
    """Return how many blocks from ``first`` on each GPU gets: in proportion to its free memory, by bytes."""
    usable = [max(0, space.free - need.compute) for space in gpus]
    total = sum(usable)
    if total <= 0:
        return [0] * len(gpus)
    costs = [weight + kv for weight, kv in zip(need.weights[first:], need.kv[first:], strict=True)]
    middles = [end - cost / 2 for end, cost in zip(accumulate(costs), costs, strict=True)]
    borders = [sum(costs) * part / total for part in accumulate(usable)]
    borders[-1] = float(sum(costs))
    below = [sum(1 for middle in middles if middle <= border) for border in borders]
    return [upper - lower for upper, lower in zip(below, [0, *below], strict=False)]


def _refusal(model: Model, options: Options, context: int, spaces: Sequence[Space], policy: Policy) -> Refusal:
    shape = single(context, _SMALLEST_BATCH)
    need = footprint(model, shape, policy.kv_type, flash_attention=policy.flash_attention is not False)
    usable = [space for space in spaces if options.num_gpu != 0 or not space.device.is_gpu]
    there = ", ".join(
        f"{space.device.name or space.device.id} {space.free / GIB:.1f} of {space.device.total_bytes / GIB:.1f} GiB"
        for space in usable
    )
    reason = (
        f"model requires more memory ({need.total / GIB:.1f} GiB with a context of {context} tokens) "
        f"than is available ({there or 'no device'})"
    )
    return Refusal(need.total, reason)
