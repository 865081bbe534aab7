"""A batch of tokens, filled through numpy views of llama.cpp's own arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pollama.native.binding import llama


class Batch:
    """Room for ``capacity`` rows of one sequence each. The views share memory with the C arrays."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.tokens: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.positions: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.outputs: NDArray[np.int8] = np.zeros(capacity, np.int8)
        self._sequences: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._counts: NDArray[np.int32] = np.ones(capacity, np.int32)
        self._rows = self._row_pointers()

    def _row_pointers(self) -> NDArray[np.uintp]:
        start = self._sequences.ctypes.data
        return start + np.arange(self.capacity, dtype=np.uintp) * self._sequences.itemsize

    def clear(self) -> None:
        """Empty the batch."""
        self.length = 0

    def add(self, sequence: int, tokens: NDArray[np.int32] | list[int], start: int, *, output: bool) -> int:
        """Append ``tokens`` of ``sequence`` from position ``start``; return the row of the last one.

        With ``output`` the last token's logits are computed. The caller keeps to ``capacity``.
        """
        first, end = self.length, self.length + len(tokens)
        self.tokens[first:end] = tokens
        self.positions[first:end] = np.arange(start, start + len(tokens))
        self._sequences[first:end] = sequence
        self.outputs[first:end] = 0
        self.outputs[end - 1] = output
        self.length = end
        return end - 1

    def require_all_outputs(self) -> None:
        """Ask for the output of every row (embeddings)."""
        self.outputs[: self.length] = 1

    def structure(self) -> Any:
        """Return the ``llama_batch``; valid while this object lives and is not changed."""
        return llama.llama_batch(
            n_tokens=self.length,
            token=_pointer(self.tokens, ctypes.c_int32),
            embd=None,
            pos=_pointer(self.positions, ctypes.c_int32),
            n_seq_id=_pointer(self._counts, ctypes.c_int32),
            seq_id=ctypes.cast(self._rows.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=_pointer(self.outputs, ctypes.c_int8),
        )


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
