"""A batch of tokens, handed to llama.cpp in arrays that stay where they are."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pollama.native.binding import llama


class Batch:
    """Room for ``capacity`` rows of one sequence each."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._tokens = _Column(capacity, np.int32)
        self._positions = _Column(capacity, np.int32)
        self._sequences = _Column(capacity, np.int32)
        self._outputs = _Column(capacity, np.int8)
        self._counts: NDArray[np.int32] = np.ones(capacity, np.int32)
        self._rows = self._row_pointers()
        self._structure = llama.llama_batch(
            token=_pointer(self._tokens.array, ctypes.c_int32),
            embd=None,
            pos=_pointer(self._positions.array, ctypes.c_int32),
            n_seq_id=_pointer(self._counts, ctypes.c_int32),
            seq_id=ctypes.cast(self._rows.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=_pointer(self._outputs.array, ctypes.c_int8),
        )

    def _row_pointers(self) -> NDArray[np.uintp]:
        array = self._sequences.array
        return array.ctypes.data + np.arange(self.capacity, dtype=np.uintp) * array.itemsize

    @property
    def length(self) -> int:
        """Rows in the batch."""
        return len(self._tokens.values)

    def clear(self) -> None:
        """Empty the batch."""
        for column in (self._tokens, self._positions, self._sequences, self._outputs):
            column.values.clear()

    def add(self, sequence: int, tokens: Sequence[int], start: int, *, output: bool) -> int:
        """Append ``tokens`` of ``sequence`` from position ``start``; return the row of the last one.

        With ``output`` the last token's logits are computed. The caller keeps to ``capacity``.
        """
        count = len(tokens)
        self._tokens.values += tokens
        self._positions.values += range(start, start + count)
        self._sequences.values += [sequence] * count
        self._outputs.values += [0] * (count - 1)
        self._outputs.values.append(output)
        return self.length - 1

    def require_all_outputs(self) -> None:
        """Ask for the output of every row (embeddings)."""
        self._outputs.values[:] = [1] * self.length

    def structure(self) -> Any:
        """Return the ``llama_batch``; valid while this object lives and is not changed."""
        for column in (self._tokens, self._positions, self._sequences, self._outputs):
            column.write()
        self._structure.n_tokens = self.length
        return self._structure


class _Column:
    """One value per row: ``values`` are collected first, because numpy is slow on single ones."""

    def __init__(self, capacity: int, kind: type[np.integer[Any]]) -> None:
        self.values: list[int] = []
        self.array: NDArray[np.integer[Any]] = np.zeros(capacity, kind)

    def write(self) -> None:
        """Copy the values into the array."""
        self.array[: len(self.values)] = self.values


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
