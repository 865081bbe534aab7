"""A context: KV memory and compute buffers over a loaded model. Used by one thread at a time."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pollama.native.batch import Batch
from pollama.native.binding import llama
from pollama.native.errors import DecodeError, NativeError, NoRoomError
from pollama.native.library import LOG
from pollama.native.model import Model

KV_TYPES: dict[str, int] = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""ggml's numbers of the types that a KV cache can have."""

_LEAST_EMBEDDING_BATCH: Final = 64
"""llama.cpp reserves its graphs for this many rows at least and aborts where fewer outputs were asked for."""


class Pooling(IntEnum):
    """How the vectors of a sequence's tokens become one (llama.cpp's numbers)."""

    OF_MODEL = -1
    NONE = 0
    MEAN = 1
    FIRST = 2
    LAST = 3
    RANK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """``cells`` KV cells in all, ``sequences`` ids from 0, ``batch`` rows per decode; ``threads`` 0 = automatic."""

    cells: int
    sequences: int
    batch: int
    shared_cells: bool = True
    kv_type: str = "f16"
    flash_attention: bool | None = None
    threads: int = 0
    embeddings: bool = False
    pooling: Pooling = Pooling.OF_MODEL


class Context:
    """One llama_context. Every return code is checked; nothing here can reach an abort inside llama.cpp.

    ``busy_seconds`` is the time spent computing and waiting for results, ``computing_seconds`` the processor time of
    the calling thread in it.
    """

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        """Allocate the memory. Raises NativeError with llama.cpp's reason."""
        self.model = model
        self.settings = settings
        self.pointer: Any = llama.llama_init_from_model(model.pointer, _parameters(settings))
        if not self.pointer:
            raise NativeError(LOG.error_text() or "the engine could not create a context")
        self._memory = llama.llama_get_memory(self.pointer)
        self.cells = int(llama.llama_n_ctx(self.pointer))
        self.batch = int(llama.llama_n_batch(self.pointer))
        self.sequences = int(llama.llama_n_seq_max(self.pointer))
        self.can_shift = self._can_shift()
        self._logits_place = (0, 0)  # of the view, which is kept because making one takes numpy 30 microseconds
        self._logits_view: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self.busy_seconds = 0.0
        self.computing_seconds = 0.0

    def _can_shift(self) -> bool:
        """Tell whether positions can be moved in place.

        llama.cpp aborts where one half of a sliding-window cache has no layers, and merely renumbers recurrent states:
        both count as no.
        """
        plain = bool(self._memory) and self.model.plain_memory
        return plain and bool(llama.llama_memory_can_shift(self._memory))

    def close(self) -> None:
        """Free the memory; safe to call twice."""
        if self.pointer:
            llama.llama_free(self.pointer)
            self.pointer = None

    def decode(self, batch: Batch) -> None:
        """Process a batch. Raises NoRoomError (nothing was processed) or DecodeError."""
        _check(self.timed(llama.llama_decode, self.pointer, batch.structure()))

    def process(self, batch: Batch) -> None:
        """Process a batch with whatever half the model has, an encoder or a decoder. Raises as ``decode``."""
        if self.model.has_encoder and not self.model.has_decoder:
            _check(self.timed(llama.llama_encode, self.pointer, batch.structure()))
        else:
            self.decode(batch)

    def synchronise(self) -> None:
        """Wait until the outputs of the last decode are there."""
        self.timed(llama.llama_synchronize, self.pointer)

    def use_threads(self, count: int) -> None:
        """Compute with so many threads from the next decode on."""
        llama.llama_set_n_threads(self.pointer, count, count)

    def timed(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call what computes in this context, and count its time."""
        started, computed = time.monotonic(), time.thread_time()
        result = call(*arguments)
        self.busy_seconds += time.monotonic() - started
        self.computing_seconds += time.thread_time() - computed
        return result

    def logits(self, count: int) -> NDArray[np.float32]:
        """Return a view of the logits of the last batch's ``count`` outputs, one row each; valid until the next decode.

        The rows are in the order of the batch, with those left out that have no output.
        """
        pointer = llama.llama_get_logits(self.pointer)
        place = (ctypes.addressof(pointer.contents) if pointer else 0, count)
        if place != self._logits_place:
            width = self.model.vocabulary.length
            self._logits_view = _floats(pointer, count * width).reshape(count, width)
            self._logits_place = place
        return self._logits_view

    def pooled(self, sequence: int, length: int) -> NDArray[np.float32]:
        """Return a copy of the pooled embedding of ``sequence``."""
        return _floats(llama.llama_get_embeddings_seq(self.pointer, sequence), length).copy()

    def embedding(self, row: int, length: int) -> NDArray[np.float32]:
        """Return a copy of the embedding of a batch row."""
        return _floats(llama.llama_get_embeddings_ith(self.pointer, row), length).copy()

    @property
    def pooling(self) -> Pooling:
        """The pooling in effect."""
        return Pooling(llama.llama_pooling_type(self.pointer))

    def clear(self) -> None:
        """Forget all sequences."""
        if self._memory:
            llama.llama_memory_clear(self._memory, False)

    def remove(self, sequence: int, start: int = 0, end: int = -1) -> bool:
        """Drop positions ``[start, end)`` of a sequence; False where the memory cannot drop a part."""
        return bool(llama.llama_memory_seq_rm(self._memory, sequence, start, end))

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Let ``target`` see the positions before ``end`` of ``source``; without shared cells only all of them."""
        if not self.settings.shared_cells and end != -1:
            raise NativeError("without shared cells a sequence can only be copied as a whole")
        llama.llama_memory_seq_cp(self._memory, source, target, -1 if end == -1 else 0, end)

    def shift(self, sequence: int, start: int, end: int, by: int) -> None:
        """Add ``by`` to the positions ``[start, end)``; only where ``can_shift``."""
        if not self.can_shift:
            raise NativeError("the memory of this model cannot be shifted")
        llama.llama_memory_seq_add(self._memory, sequence, start, end, by)

    def first_position(self, sequence: int) -> int:
        """Return the lowest position that the memory holds for every layer of a sequence; -1 = empty."""
        return int(llama.llama_memory_seq_pos_min(self._memory, sequence))

    def last_position(self, sequence: int) -> int:
        """Return the highest position of a sequence; -1 = empty."""
        return int(llama.llama_memory_seq_pos_max(self._memory, sequence))

    def export_sequence(self, sequence: int) -> bytes:
        """Return the memory of a sequence; b"" where the engine has none."""
        size = llama.llama_state_seq_get_size(self.pointer, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama.llama_state_seq_get_data(self.pointer, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def import_sequence(self, sequence: int, data: bytes) -> bool:
        """Replace the memory of a sequence; False when it does not fit or was made by another layout."""
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        return bool(llama.llama_state_seq_set_data(self.pointer, buffer, len(data), sequence))

    def apply_adapters(self, adapters: Sequence[Any], scale: float = 1.0) -> None:
        """Use LoRA ``adapters`` (and no others) from the next decode on. Raises NativeError."""
        array = (llama.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*[scale] * len(adapters))
        if llama.llama_set_adapters_lora(self.pointer, array, len(adapters), scales):
            raise NativeError(LOG.error_text() or "the engine refused the adapters")


def _check(code: int) -> None:
    if code == 1:
        raise NoRoomError("no free KV cells")
    if code:
        raise DecodeError(code)


def _floats(pointer: Any, length: int) -> NDArray[np.float32]:
    if not pointer:
        raise NativeError("the engine has no output for this row")
    return np.ctypeslib.as_array(pointer, (length,))


def _parameters(settings: ContextSettings) -> Any:
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = settings.cells
    parameters.n_seq_max = settings.sequences
    batch = max(settings.batch, _LEAST_EMBEDDING_BATCH) if settings.embeddings else settings.batch
    parameters.n_batch = parameters.n_ubatch = batch
    parameters.n_outputs_max = batch if settings.embeddings else settings.sequences
    parameters.n_outputs_max_per_seq = batch if settings.embeddings else 1
    parameters.kv_unified = settings.shared_cells
    parameters.swa_full = False
    parameters.type_k = parameters.type_v = KV_TYPES[settings.kv_type]
    parameters.embeddings = settings.embeddings
    parameters.pooling_type = settings.pooling
    if settings.flash_attention is not None:
        parameters.flash_attn_type = int(settings.flash_attention)
    if settings.threads > 0:
        parameters.n_threads = parameters.n_threads_batch = settings.threads
    return parameters
