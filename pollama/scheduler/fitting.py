"""Fits one model to one team of devices: which blocks go where, and how large a cache the rest of the memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Final

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
    """A device, the bytes on it that a plan may take, and how many replicas have blocks there."""

    device: Device
    free: int
    residents: int = 0


@dataclass(frozen=True, slots=True)
class Team:
    """Devices that may share one model: GPUs in stage order, and the CPU for the embedding and the first blocks.

    ``blocks`` is how many blocks, the output being one, the GPUs must hold; None = as many as fit, at least one.
    """

    gpus: tuple[Space, ...]
    host: Space | None
    blocks: int | None


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
        available = sum(space.free for space in self._team.gpus) if self._team.gpus else None
        cuda = any(space.device.kind == "cuda" for space in self._team.gpus)
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
        allowed = range(len(need.weights), 0, -1) if self._team.blocks is None else (self._team.blocks,)
        return next((blocks for blocks in allowed if self._shares(need, blocks) is not None), None)

    def _shapes(self, base: CacheShape, least: Footprint, blocks: int) -> Iterator[CacheShape]:
        two = replace(base, sequences=2, cells=2 * base.cells)
        sharing_host = blocks < len(least.weights) and self._team.host is not None
        holders = (*self._team.gpus, self._team.host) if sharing_host else self._team.gpus
        return shapes(
            base,
            self._policy,
            generating=generates(self._model),
            headroom=sum(space.free for space in holders if space is not None) - least.total,
            sequence_bytes=sum(self._footprint(two).kv) - sum(least.kv),
            weight_bytes=sum(least.weights),
        )

    def _shares(self, need: Footprint, blocks: int) -> tuple[Share, ...] | None:
        """Return each device's part when the last ``blocks`` blocks are on the GPUs, or None when it does not fit."""
        first = len(need.weights) - blocks
        borders = _borders(need, first, self._team.gpus)
        spans = zip(self._team.gpus, pairwise(borders), strict=True)
        used = [(space, begin, end) for space, (begin, end) in spans if begin < end]
        shares = [(space, _gpu_share(need, space, begin, end, leads=begin == first)) for space, begin, end in used]
        if sum(share.layers for _, share in shares) < blocks:
            return None
        if self._team.host is not None:
            shares.append((self._team.host, _host_share(need, self._team.host, first)))
        elif first:
            return None
        fits = all(share.total_bytes <= space.free for space, share in shares)
        return tuple(share for _, share in shares) if fits else None

    def _finished(self, shape: CacheShape, shares: tuple[Share, ...], blocks: int) -> Plan:
        holders = [share.device for share in shares if share.layers]
        gpu_ids = {space.device.id for space in self._team.gpus}
        stages = sum(1 for device in holders if device in gpu_ids)
        return Plan(
            shares=shares,
            sequences=shape.sequences,
            context_length=shape.context_length,
            cells=shape.cells,
            shared_cells=shape.shared_cells,
            batch=shape.batch,
            gpu_layers=blocks,
            split="layer" if stages > 1 else "none",
            threads=max(0, self._options.num_thread),
            reason=_reason(blocks, sum(share.layers for share in shares), holders),
        )


def _borders(need: Footprint, first: int, gpus: Sequence[Space]) -> list[int]:
    """Return where each GPU's blocks begin, and the end: bytes in proportion to what is free after compute buffers."""
    usable = [max(0, space.free - need.compute - _DRIVER_BYTES) for space in gpus]
    total = sum(usable)
    if total == 0:
        return [first] * (len(gpus) + 1)
    costs = [weight + kv for weight, kv in zip(need.weights[first:], need.kv[first:], strict=True)]
    middles = [end - cost / 2 for end, cost in zip(accumulate(costs), costs, strict=True)]
    limits = [sum(costs) * part / total for part in accumulate(usable[:-1], initial=0)]
    return [*(first + sum(1 for middle in middles if middle < limit) for limit in limits), len(need.weights)]


def _gpu_share(need: Footprint, space: Space, begin: int, end: int, *, leads: bool) -> Share:
    """Return the part of a GPU that holds the blocks from ``begin`` to before ``end``; ``leads``: it is the first."""
    last = end == len(need.weights)
    attached = need.attached if leads else 0
    return Share(
        device=space.device.id,
        layers=end - begin,
        weight_bytes=sum(need.weights[begin:end]) + attached + (need.output_copy if last else 0),
        kv_bytes=sum(need.kv[begin:end]),
        compute_bytes=need.compute + _DRIVER_BYTES + (need.logits if last else 0),
    )


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
