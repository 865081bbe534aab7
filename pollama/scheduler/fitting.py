"""Fits one model to one team of devices: which blocks go where, and how large a cache the rest of the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import ceil
from typing import Final, TypeAlias

from pollama.scheduler.capacity import DEFAULT_BATCH, batch_size, shapes, single
from pollama.scheduler.estimate import CacheShape, Footprint, footprint, generates
from pollama.scheduler.policy import MIB, Policy
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.options import Options
from pollama.types.plans import Plan, Share

_DRIVER_BYTES: Final = 384 * MIB
"""What the driver takes for itself on each GPU that a process uses."""


@dataclass(frozen=True, slots=True)
class Space:
    """A device, the bytes on it that a plan may take, and how many replicas have blocks there.

    CPU devices lie in one memory: ``pool`` is what plans may take of it on all of them together (None = no matter).
    """

    device: Device
    free: int
    residents: int = 0
    pool: int | None = None


Apportion: TypeAlias = "Callable[[Footprint, int, Sequence[Space]], Sequence[int]]"
"""Which blocks, from a first one on, go to each stage: where each begins, and the end."""


def by_memory(need: Footprint, first: int, stages: Sequence[Space]) -> list[int]:
    """Return the borders of stages whose bytes are in proportion to what is free there after compute buffers."""
    usable = [max(0, space.free - fixed_bytes(need, space)) for space in stages]
    total = sum(usable)
    if total == 0:
        return [first] * (len(stages) + 1)
    costs = [weight + kv for weight, kv in zip(need.weights[first:], need.kv[first:], strict=True)]
    middles = [end - cost / 2 for end, cost in zip(accumulate(costs), costs, strict=True)]
    limits = [sum(costs) * part / total for part in accumulate(usable[:-1], initial=0)]
    return [*(first + sum(1 for middle in middles if middle < limit) for limit in limits), len(need.weights)]


@dataclass(frozen=True, slots=True)
class Team:
    """Devices that may share one model: the stages in order, and the CPU for the embedding and the first blocks.

    ``blocks`` is how many blocks, the output being one, the stages must hold; None = as many as fit, at least one.
    With ``parts`` (together 1) each device has its part of every block. Stages on CPU devices have no host.
    """

    stages: tuple[Space, ...]
    host: Space | None
    blocks: int | None
    apportion: Apportion = by_memory
    parts: tuple[float, ...] = ()


def fit(model: Model, options: Options, context: int, team: Team, policy: Policy) -> Plan | None:
    """Return the plan with the most blocks on GPUs and the largest cache, or None when one sequence is too much."""
    return _Fitting(model, options, context, team, policy).plan()


class _Fitting:
    """The arguments of one ``fit``."""

    def __init__(self, model: Model, options: Options, context: int, team: Team, policy: Policy) -> None:
        self._model = model
        self._options = options
        self._context = context
        self._team = team
        self._policy = policy

    def plan(self) -> Plan | None:
        base = self._base()
        least = self._footprint(base)
        blocks = self._blocks(least)
        if blocks is None:
            return None
        for shape in self._shapes(base, least, blocks):
            shares = self._shares(self._footprint(shape), blocks)
            if shares is not None:
                return self._finished(shape, shares, blocks)
        return None

    def _base(self) -> CacheShape:
        """Return the shape of one sequence, with the batch that this much memory is good for."""
        predicted = self._footprint(single(self._context, DEFAULT_BATCH)).total
        gpus = [space for space in self._team.stages if space.device.is_gpu]
        available = sum(space.free for space in gpus) if gpus else None
        cuda = any(space.device.kind == "cuda" for space in gpus)
        scores_kept = cuda and not self._flash_attention
        batch = batch_size(
            self._model, self._options, self._context, predicted=predicted, available=available, scores_kept=scores_kept
        )
        return single(self._context, batch)

    def _footprint(self, shape: CacheShape) -> Footprint:
        return footprint(self._model, shape, self._policy.kv_type, flash_attention=self._flash_attention)

    @property
    def _flash_attention(self) -> bool:
        return self._policy.flash_attention is not False

    def _blocks(self, need: Footprint) -> int | None:
        """Return how many blocks go to the GPUs, or None when the team cannot hold the model."""
        allowed = range(self._most_blocks(need), 0, -1) if self._team.blocks is None else (self._team.blocks,)
        return next((blocks for blocks in allowed if self._shares(need, blocks) is not None), None)

    def _most_blocks(self, need: Footprint) -> int:
        """Return how many blocks, counted from the last one, could fit if they could be divided."""
        room = sum(max(0, space.free - fixed_bytes(need, space)) for space in self._team.stages)
        sizes = accumulate(weight + kv for weight, kv in zip(need.weights[::-1], need.kv[::-1], strict=True))
        return sum(1 for size in sizes if size <= room)

    def _shapes(self, base: CacheShape, least: Footprint, blocks: int) -> Iterator[CacheShape]:
        two = replace(base, sequences=2, cells=2 * base.cells)
        sharing_host = blocks < len(least.weights) and self._team.host is not None
        holders = (*self._team.stages, self._team.host) if sharing_host else self._team.stages
        return shapes(
            base,
            self._policy,
            generating=generates(self._model),
            headroom=free_bytes([space for space in holders if space is not None]) - least.total,
            sequence_bytes=sum(self._footprint(two).kv) - sum(least.kv),
            weight_bytes=sum(least.weights),
        )

    def _shares(self, need: Footprint, blocks: int) -> tuple[Share, ...] | None:
        """Return each device's part when the last ``blocks`` blocks are on the stages, or None when it does not fit."""
        shares = self._joint_shares(need) if self._team.parts else self._stage_shares(need, blocks)
        return tuple(share for _, share in shares) if shares is not None and _fits(shares) else None

    def _joint_shares(self, need: Footprint) -> list[tuple[Space, Share]]:
        spans = zip(self._team.stages, self._team.parts, strict=True)
        shares = [(space, _part_share(need, space, part)) for space, part in spans]
        if self._team.host is not None:
            shares.append((self._team.host, _host_share(need, self._team.host, 0)))
        return shares

    def _stage_shares(self, need: Footprint, blocks: int) -> list[tuple[Space, Share]] | None:
        first = len(need.weights) - blocks
        borders = self._team.apportion(need, first, self._team.stages)
        spans = zip(self._team.stages, pairwise(borders), strict=True)
        used = [(space, begin, end) for space, (begin, end) in spans if begin < end]
        shares = [(space, stage_share(need, space, begin, end, leads=begin == first)) for space, begin, end in used]
        if sum(share.layers for _, share in shares) < blocks:
            return None
        if self._team.host is not None:
            shares.append((self._team.host, _host_share(need, self._team.host, first)))
        elif first:
            return None
        return shares

    def _finished(self, shape: CacheShape, shares: tuple[Share, ...], blocks: int) -> Plan:
        holders = [share.device for share in shares if share.layers]
        stages = {space.device.id: space.device for space in self._team.stages}
        several = sum(1 for device in holders if device in stages) > 1
        everything = len(self._footprint(shape).weights)
        return Plan(
            shares=shares,
            sequences=shape.sequences,
            context_length=shape.context_length,
            cells=shape.cells,
            shared_cells=shape.shared_cells,
            batch=shape.batch,
            gpu_layers=blocks if any(device.is_gpu for device in stages.values()) else 0,
            split=("tensor" if self._team.parts else "layer") if several else "none",
            threads=max(0, self._options.num_thread),
            reason=_reason(blocks, everything, holders),
        )


def free_bytes(spaces: Sequence[Space]) -> int:
    """Return what is free on several devices together."""
    pools = [space.pool for space in spaces if space.pool is not None]
    on_host = sum(space.free for space in spaces if not space.device.is_gpu)
    return sum(space.free for space in spaces if space.device.is_gpu) + min([*pools, on_host])


def fixed_bytes(need: Footprint, space: Space) -> int:
    """Return what a stage takes on a device before its first block."""
    return need.compute + (_DRIVER_BYTES if space.device.is_gpu else 0)


def stage_share(need: Footprint, space: Space, begin: int, end: int, *, leads: bool) -> Share:
    """Return the part of a stage with the blocks from ``begin`` to before ``end``; ``leads``: it is the first."""
    last = end == len(need.weights)
    ahead = need.attached + (0 if space.device.is_gpu else need.embedding) if leads else 0
    return Share(
        device=space.device.id,
        layers=end - begin,
        weight_bytes=sum(need.weights[begin:end]) + ahead + (need.output_copy if last else 0),
        kv_bytes=sum(need.kv[begin:end]),
        compute_bytes=fixed_bytes(need, space) + (need.logits if last else 0),
    )


def _part_share(need: Footprint, space: Space, part: float) -> Share:
    """Return ``part`` of every block. CPU devices are one engine, and share its buffers; GPUs have their own."""
    gpu = space.device.is_gpu
    beside = need.attached + (need.output_copy if gpu else need.embedding)
    compute = need.compute + need.logits
    return Share(
        device=space.device.id,
        layers=len(need.weights),
        weight_bytes=ceil(part * (sum(need.weights) + beside)),
        kv_bytes=ceil(part * sum(need.kv)),
        compute_bytes=compute + _DRIVER_BYTES if gpu else ceil(part * compute),
    )


def has_room(plan: Plan, spaces: Sequence[Space]) -> bool:
    """Tell whether a plan fits into what is free. Devices that are gone have no room."""
    by_id = {space.device.id: space for space in spaces}
    known = all(share.device in by_id for share in plan.shares)
    return known and _fits([(by_id[share.device], share) for share in plan.shares])


def _fits(shares: Sequence[tuple[Space, Share]]) -> bool:
    pools = [space.pool for space, _ in shares if space.pool is not None]
    on_host = sum(share.total_bytes for space, share in shares if not space.device.is_gpu)
    return all(share.total_bytes <= space.free for space, share in shares) and on_host <= min(pools, default=on_host)


def _host_share(need: Footprint, host: Space, first: int) -> Share:
    """Return the CPU's part: the blocks before ``first`` and always the embedding."""
    alone = first == len(need.weights)
    return Share(
        device=host.device.id,
        layers=first,
        weight_bytes=sum(need.weights[:first]) + need.embedding + (need.attached if alone else 0),
        kv_bytes=sum(need.kv[:first]),
        compute_bytes=(need.compute if first else 0) + (need.logits if alone else 0),
    )


def _reason(blocks: int, everything: int, holders: Sequence[str]) -> str:
    if blocks == 0:
        return f"all on {holders[0]}"
    where = " and ".join(holders)
    return f"all layers on {where}" if blocks == everything else f"{blocks} of {everything} layers on GPUs: {where}"
