"""How many bytes a model takes, from the facts of its weights. Pure arithmetic, no I/O.

The formulas follow what llama.cpp allocates: weights as stored, one K and one V row per cell and attention block,
a state per sequence and recurrent block, and compute buffers for one micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pollama.scheduler.policy import MIB
from pollama.types.model import Model, ModelSpec

_BITS_PER_ELEMENT: Final[dict[str, float]] = {
    "f32": 32,
    "f16": 16,
    "bf16": 16,
    "q8_0": 8.5,
    "q5_1": 6,
    "q5_0": 5.5,
    "q4_1": 5,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}
"""Including the scales: ggml stores 32 elements per block. A type that is not here is for the engine to refuse."""

_CELL_PADDING: Final = 256
"""llama.cpp rounds the cells of a cache up to a multiple of this."""

_DENSE_EVERY: Final = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma-embedding": 6,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
}
"""In these architectures all blocks but every n-th see only the sliding window and keep only its cells."""

_RECURRENT_STATE_WIDTH: Final = 128 + 4
"""Elements of recurrent and convolution state per inner channel; the inner width is twice the embedding."""

_MASK_BYTES: Final = 4
"""Per row and visible cell: 16 bits, and as much again where blocks with and without a window have a mask each."""

_LOGITS_COPIES: Final = 2
"""One in the graph, one handed out; rows of a prompt but the last have none."""

_FIXED_COMPUTE: Final = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    """The size of a replica's context. ``context_length`` and ``batch`` in tokens, ``cells`` over all sequences."""

    context_length: int
    sequences: int
    shared_cells: bool
    cells: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes of one model with one cache shape.

    ``weights`` and ``kv`` have one entry per block and one more for the output; ``compute`` is needed on every device
    that holds a block, ``logits`` where the output is. ``attached`` (projectors and adapters) lies with the
    first GPU, ``embedding`` always in the memory of the machine. Where the output matrix is the embedding (tied), a GPU
    that holds the output needs ``output_copy`` of it.
    """

    weights: tuple[int, ...]
    kv: tuple[int, ...]
    compute: int
    logits: int
    attached: int
    embedding: int
    output_copy: int

    @property
    def total(self) -> int:
        """Bytes in the memory of the machine alone."""
        return sum(self.weights) + sum(self.kv) + self.compute + self.logits + self.attached + self.embedding


def footprint(model: Model, shape: CacheShape, kv_type: str, *, flash_attention: bool) -> Footprint:
    """Return what ``model`` takes. ``model.stored.spec`` must be known."""
    spec = model.stored.spec
    if spec is None:
        raise ValueError(f"{model.stored.short_name} has no weights")
    return Footprint(
        weights=(*spec.layer_bytes, spec.output_bytes),
        kv=(*kv_bytes(spec, shape, kv_type), 0),
        compute=compute_bytes(spec, shape, flash_attention=flash_attention),
        logits=_LOGITS_COPIES * 4 * spec.vocabulary_length * shape.sequences if generates(model) else 0,
        attached=max(0, model.stored.size - spec.file_bytes),
        embedding=spec.input_bytes,
        output_copy=spec.input_bytes if generates(model) and is_tied(spec) else 0,
    )


def generates(model: Model) -> bool:
    """Tell a model that produces text from one that only embeds."""
    return "completion" in model.capabilities or "embedding" not in model.capabilities


@lru_cache(maxsize=256)
def kv_bytes(spec: ModelSpec, shape: CacheShape, kv_type: str) -> tuple[int, ...]:
    """Return the cache bytes of each block: rows for the cells it keeps, or a recurrent state per sequence.

    Encoders look at one input at a time and keep nothing.
    """
    if "bert" in spec.architecture:
        return (0,) * spec.layer_count
    row_bits = _BITS_PER_ELEMENT.get(kv_type, 16) * (spec.key_length + spec.value_length)
    dense, sliding = _dense_cells(shape), _sliding_cells(spec, shape)
    state = _recurrent_state_bytes(spec) * shape.sequences
    return tuple(
        int((sliding if _slides(spec, block) else dense) * heads * row_bits / 8) if heads else state
        for block, heads in enumerate(spec.head_count_kv)
    )


def compute_bytes(spec: ModelSpec, shape: CacheShape, *, flash_attention: bool) -> int:
    """Return the scratch memory of one batch without the logits: activations and the attention mask.

    Without flash attention the scores of all heads are kept at once. The factors are measured: for Llama,
    Gemma 3, LFM2, Mamba and BERT shapes the engine reserves between a half and nine tenths of this.
    """
    width = 8 * spec.embedding_length + 2 * (spec.feed_forward_length or 4 * spec.embedding_length)
    visible = shape.cells if shape.shared_cells else shape.context_length
    scores = 0 if flash_attention else 4 * visible * spec.head_count
    return shape.batch * (4 * width + _MASK_BYTES * visible + scores) + _FIXED_COMPUTE


def _dense_cells(shape: CacheShape) -> int:
    streams = _streams(shape)
    return streams * _padded(-(-shape.cells // streams))


def _sliding_cells(spec: ModelSpec, shape: CacheShape) -> int:
    """Return the cells of a sliding-window block: the window of each sequence and room for one batch per stream."""
    streams = _streams(shape)
    windows = spec.sliding_window * (shape.sequences // streams)
    return min(_dense_cells(shape), streams * _padded(windows + shape.batch))


def _slides(spec: ModelSpec, block: int) -> bool:
    every = _DENSE_EVERY.get(spec.architecture, 0) if spec.sliding_window else 0
    return every > 0 and block % every < every - 1


def _streams(shape: CacheShape) -> int:
    return 1 if shape.shared_cells else shape.sequences


def is_tied(spec: ModelSpec) -> bool:
    """Tell a model without an output matrix: what is behind its last block is small against the embedding."""
    return spec.output_bytes * 8 < spec.input_bytes


def _recurrent_state_bytes(spec: ModelSpec) -> int:
    return 4 * 2 * spec.embedding_length * _RECURRENT_STATE_WIDTH if spec.recurrent else 0


def _padded(cells: int) -> int:
    return -(-cells // _CELL_PADDING) * _CELL_PADDING
