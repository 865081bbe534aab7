"""How large a replica's context is made: context length, batch size, sequences and KV cells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pollama.scheduler.estimate import CacheShape, generates
from pollama.scheduler.policy import GIB, MIB, Policy
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.options import Options

_CONTEXT_TIERS: Final = ((47 * GIB, 262_144), (23 * GIB, 32_768), (0, 4096))
_LEAST_CONTEXT: Final = 4
_LEAST_VISION_CONTEXT: Final = 2048

_BATCHES: Final = ((2048, 32_768, 0.60, 2 * GIB), (1024, 4096, 0.75, 768 * MIB))
"""Batch, the context it is worth it above, the share of memory the model may take, and the memory it needs itself."""
_USABLE_SHARE: Final = 0.8
DEFAULT_BATCH: Final = 512
_LEAST_BATCH: Final = 2
"""The engine tries on two tokens what its memory can do."""
_SMALL_BATCH: Final = 256
_LARGEST_EMBEDDING_BATCH: Final = 2048

_CACHE_SHARE: Final = 4
"""Further sequences get one part in this many of the memory that the model leaves free,"""
_SMALLEST_CACHE_BUDGET: Final = 512 * MIB
"""but not more than the weights take, or this much."""
_TYPICAL_SHARE: Final = 8
_LEAST_TYPICAL_LENGTH: Final = 512
"""With shared cells a sequence is expected to need one part in this many of its context, but not less than so much."""
_WORTH_STREAMS: Final = 8
"""From so many sequences on, each gets cells of its own: faster than shared cells, and nobody waits for memory."""


def is_automatic(options: Options, name: str) -> bool:
    """Tell whether nobody has chosen this option."""
    return name not in options.explicit and getattr(options, name) == getattr(Options(), name)


def context_lengths(model: Model, options: Options, policy: Policy, devices: Sequence[Device]) -> list[int]:
    """Return the context lengths to try in turn, in tokens per sequence, longest first.

    A length that somebody chose is the only one; an automatic one may be reduced to the smaller tiers.
    """
    if not is_automatic(options, "num_ctx"):
        return [_clamped(model, options.num_ctx)]
    default = policy.num_ctx if policy.num_ctx > 0 else _default_context(policy, devices)
    lengths = [default, *(length for _, length in _CONTEXT_TIERS if length < default)]
    return list(dict.fromkeys(_clamped(model, length) for length in lengths))


def _default_context(policy: Policy, devices: Sequence[Device]) -> int:
    memory = sum(device.capacity_bytes - policy.gpu_overhead for device in devices if device.is_gpu)
    return next(length for least, length in _CONTEXT_TIERS if memory >= least)


def _clamped(model: Model, length: int) -> int:
    spec = model.stored.spec
    least = _LEAST_VISION_CONTEXT if "vision" in model.capabilities else _LEAST_CONTEXT
    trained = spec.context_length if spec else 0
    length = max(length, least)
    return min(length, trained) if trained > 0 else length


def batch_size(
    model: Model, options: Options, context: int, *, predicted: int, available: int | None, scores_kept: bool
) -> int:
    """Return the tokens per batch: the chosen number, else one that context and memory are good for.

    ``predicted`` and ``available`` are bytes of the model and of the GPUs (None: no GPU); ``scores_kept`` means CUDA
    without flash attention, where the scratch memory grows with the batch.
    """
    if not generates(model):
        chosen = _LARGEST_EMBEDDING_BATCH if is_automatic(options, "num_batch") else options.num_batch
        return max(1, min(chosen, context))
    if not is_automatic(options, "num_batch"):
        return max(_LEAST_BATCH, min(options.num_batch, max(context, DEFAULT_BATCH)))
    if scores_kept:
        cramped = available is not None and available <= 8 * GIB
        return _SMALL_BATCH if context > 4096 and cramped else DEFAULT_BATCH
    return automatic_batch(context, predicted, available)


def automatic_batch(context: int, predicted: int, available: int | None) -> int:
    """Return the largest batch that the context is worth and the memory has room for (Ollama's thresholds)."""
    for batch, above, share, surcharge in _BATCHES:
        if context <= above:
            continue
        if available is None:
            return batch
        spare = _USABLE_SHARE * available - predicted
        if predicted <= share * available and surcharge <= spare:
            return batch
    return DEFAULT_BATCH


def single(context: int, batch: int) -> CacheShape:
    """Return the smallest shape: one sequence."""
    return CacheShape(context_length=context, sequences=1, shared_cells=False, cells=context, batch=batch)


def shapes(
    base: CacheShape, policy: Policy, *, generating: bool, headroom: int, sequence_bytes: int, weight_bytes: int
) -> Iterator[CacheShape]:
    """Yield cache shapes from the most wanted to ``base``; the caller takes the first that fits.

    ``headroom`` is the memory that the model with one sequence leaves free, ``sequence_bytes`` the price of
    another sequence with cells of its own. A chosen number of sequences is obeyed wherever they fit with shared
    cells. A model that only embeds has one; and there are never more than the batch has rows.
    """
    if generating and policy.num_parallel is not None:
        yield from _chosen(base, min(max(1, policy.num_parallel), base.batch))
    elif generating:
        budget = min(headroom // _CACHE_SHARE, max(weight_bytes, _SMALLEST_CACHE_BUDGET))
        most = min(policy.max_sequences, base.batch)
        yield from _affordable(base, most, further=max(0, budget) / max(1, sequence_bytes))
    yield base


def _chosen(base: CacheShape, sequences: int) -> Iterator[CacheShape]:
    """Yield cells for all, then shared ones: half of that, a quarter, down to one context."""
    yield _streams(base, sequences)
    cells = base.context_length * sequences // 2
    while cells > base.context_length:
        yield _shared(base, sequences, cells)
        cells //= 2
    yield _shared(base, sequences, base.context_length)


def _affordable(base: CacheShape, most: int, further: float) -> Iterator[CacheShape]:
    """Yield what ``further`` contexts beyond the first are good for, then sequences that share the first."""
    whole = min(most, 1 + int(further))
    if whole >= min(most, _WORTH_STREAMS):
        yield _streams(base, whole)
    length = base.context_length
    typical = max(_LEAST_TYPICAL_LENGTH, length // _TYPICAL_SHARE)
    for cells in (length + int(length * min(further, most - 1)), length):
        yield _shared(base, max(1, min(most, cells // typical)), cells)


def _streams(base: CacheShape, sequences: int) -> CacheShape:
    return replace(base, sequences=sequences, cells=base.context_length * sequences)


def _shared(base: CacheShape, sequences: int, cells: int) -> CacheShape:
    return base if sequences == 1 else replace(base, sequences=sequences, shared_cells=True, cells=cells)
