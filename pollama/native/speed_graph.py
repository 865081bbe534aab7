"""Matrices on one ggml device, multiplied one after the other: what a model's layers cost there."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pollama.native.binding import declare, ggml
from pollama.native.devices import device_array, functions
from pollama.native.errors import NativeError

WIDTH: Final = 2048
"""Rows and columns of every matrix, as in a model of one to two billion parameters."""

MATRIX_BYTES: Final = WIDTH * WIDTH // 32 * 18
"""A Q4_0 block holds 32 weights: a half-precision scale and 16 bytes of quants, two to a byte."""

_F32: Final = 0
_Q4_0: Final = 2
"""``enum ggml_type`` of ggml.h."""

_DEVIATION: Final = 4.3
"""Of quants from -7 to 7. Scales divide by it, so that vectors neither grow nor vanish on their way."""

_SUCCESS: Final = 0


class _InitParameters(ctypes.Structure):
    """``struct ggml_init_params`` of ggml.h."""

    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class _Functions:
    """The C functions of ggml that compute."""

    def __init__(self) -> None:
        base = ggml("ggml-base")
        pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        self.init = declare(base, "ggml_init", pointer, _InitParameters)
        self.free = declare(base, "ggml_free", None, pointer)
        self.tensor_overhead = declare(base, "ggml_tensor_overhead", size)
        self.graph_overhead = declare(base, "ggml_graph_overhead", size)
        self.matrix = declare(
            base, "ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
        )
        self.multiply = declare(base, "ggml_mul_mat", pointer, pointer, pointer, pointer)
        self.graph = declare(base, "ggml_new_graph", pointer, pointer)
        self.expand = declare(base, "ggml_build_forward_expand", None, pointer, pointer)
        self.start = declare(base, "ggml_backend_dev_init", pointer, pointer, text)
        self.stop = declare(base, "ggml_backend_free", None, pointer)
        self.compute = declare(base, "ggml_backend_graph_compute", ctypes.c_int, pointer, pointer)
        self.supports = declare(base, "ggml_backend_dev_supports_op", ctypes.c_bool, pointer, pointer)
        self.buffer_type = declare(base, "ggml_backend_dev_buffer_type", pointer, pointer)
        self.allocate = declare(base, "ggml_backend_alloc_ctx_tensors_from_buft", pointer, pointer, pointer)
        self.free_buffer = declare(base, "ggml_backend_buffer_free", None, pointer)
        self.write = declare(base, "ggml_backend_tensor_set", None, pointer, pointer, size, size)
        self.read = declare(base, "ggml_backend_tensor_get", None, pointer, pointer, size, size)
        self.copy = declare(base, "ggml_backend_tensor_copy", None, pointer, pointer)
        self.allocator = declare(base, "ggml_gallocr_new", pointer, pointer)
        self.allocate_graph = declare(base, "ggml_gallocr_alloc_graph", ctypes.c_bool, pointer, pointer)
        self.free_allocator = declare(base, "ggml_gallocr_free", None, pointer)
        self.procedure = declare(base, "ggml_backend_reg_get_proc_address", pointer, pointer, text)


@functools.cache
def _calls() -> _Functions:
    return _Functions()


class Computer:
    """One device, ready to compute. Raises NativeError for a device that does not exist or does not start."""

    def __init__(self, name: str, threads: int) -> None:
        self.device = device_array([name])[0]
        self._backend = _calls().start(self.device, None)
        if not self._backend:
            raise NativeError(f"the device {name!r} does not start")
        self._set_threads(threads)

    def _set_threads(self, count: int) -> None:
        """Tell a backend how many threads to use, where that is for the caller to say."""
        address = self._procedure("ggml_backend_set_n_threads")
        if address:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)(address)(self._backend, count)

    def _procedure(self, name: str) -> Any:
        return _calls().procedure(functions().registry_of(self.device), name.encode())

    def close(self) -> None:
        """Free the device."""
        _calls().stop(self._backend)

    @contextmanager
    def weights(self, count: int, width: int = WIDTH) -> Iterator[Sequence[Tensor]]:
        """Lend ``count`` square matrices. Raises NativeError when the device has no memory for them."""
        with _context(count) as context, self._matrices(context, count, width, self._layout()) as matrices:
            content = random_weights(width)
            for matrix in matrices:
                matrix.write(content)
            yield matrices

    @contextmanager
    def tensor(self, size: int) -> Iterator[Tensor]:
        """Lend ``size`` bytes of the device's memory. Raises NativeError when it has not that much."""
        with _context(1) as context:
            tensor = Tensor(_calls().matrix(context, _F32, size // 4, 1))
            with _allocated(context, _calls().buffer_type(self.device)):
                yield tensor

    @contextmanager
    def _matrices(self, context: Any, count: int, width: int, buffer_type: Any) -> Iterator[list[Tensor]]:
        matrices = [Tensor(_calls().matrix(context, _Q4_0, width, width)) for _ in range(count)]
        with _allocated(context, buffer_type):
            yield matrices

    def _layout(self) -> Any:
        """Return the first kind of memory from which a matrix can be multiplied, as llama.cpp chooses for weights."""
        return next(filter(self._multiplies_from, self._buffer_types()))

    def _multiplies_from(self, buffer_type: Any) -> bool:
        calls = _calls()
        with _context(3) as context, self._matrices(context, 1, WIDTH, buffer_type) as (matrix,):
            vector = calls.matrix(context, _F32, WIDTH, 1)
            return bool(calls.supports(self.device, calls.multiply(context, matrix.handle, vector)))

    def _buffer_types(self) -> list[Any]:
        """Return where weights can lie, the layouts that the device's own kernels like best first."""
        address = self._procedure("ggml_backend_dev_get_extra_bufts")
        found: list[Any] = []
        if address:
            extra = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(address)(self.device)
            found.extend(itertools.takewhile(bool, (extra[index] for index in itertools.count())) if extra else ())
        return [*found, _calls().buffer_type(self.device)]

    @contextmanager
    def product(self, matrices: Sequence[Tensor], columns: int, width: int = WIDTH) -> Iterator[Product]:
        """Lend the product of all ``matrices`` with ``columns`` vectors, ready to be computed again and again.

        Raises NativeError when the device has no memory for the vectors.
        """
        calls = _calls()
        with _context(len(matrices) + 1) as context:
            ones = vectors = calls.matrix(context, _F32, width, columns)
            for matrix in matrices:
                vectors = calls.multiply(context, matrix.handle, vectors)
            graph = calls.graph(context)
            calls.expand(graph, vectors)
            with self._allocated_graph(graph):
                Tensor(ones).write(np.ones(width * columns, dtype=np.float32))
                yield Product(self._backend, graph, Tensor(vectors))

    @contextmanager
    def _allocated_graph(self, graph: Any) -> Iterator[None]:
        calls = _calls()
        allocator = calls.allocator(calls.buffer_type(self.device))
        try:
            if not calls.allocate_graph(allocator, graph):
                raise NativeError("the device has too little memory to compute")
            yield
        finally:
            calls.free_allocator(allocator)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor whose memory lies on a device."""

    handle: Any

    def write(self, content: npt.NDArray[Any]) -> None:
        """Copy ``content`` to the beginning of the tensor; some devices only queue it."""
        _calls().write(self.handle, content.ctypes.data, 0, content.nbytes)

    def read(self, content: npt.NDArray[Any]) -> None:
        """Fill ``content`` from the beginning of the tensor."""
        _calls().read(self.handle, content.ctypes.data, 0, content.nbytes)

    def copy_to(self, other: Tensor) -> None:
        """Copy all of it to a tensor of the same size, by whatever way the two devices have."""
        _calls().copy(self.handle, other.handle)


@dataclass(frozen=True, slots=True)
class Product:
    """A chain of matrix products."""

    backend: Any
    graph: Any
    result: Tensor

    def compute(self) -> float:
        """Compute it and return the first number of the result. Raises NativeError when the device fails."""
        if _calls().compute(self.backend, self.graph) != _SUCCESS:
            raise NativeError("the device failed to compute")
        number = np.zeros(1, dtype=np.float32)
        self.result.read(number)
        return float(number[0])


@contextmanager
def _context(tensors: int) -> Iterator[Any]:
    """Lend a context for the descriptions of tensors and one graph."""
    calls = _calls()
    context = calls.init(_InitParameters(calls.tensor_overhead() * tensors + calls.graph_overhead(), None, True))
    try:
        yield context
    finally:
        calls.free(context)


@contextmanager
def _allocated(context: Any, buffer_type: Any) -> Iterator[None]:
    """Give the tensors of ``context`` memory for a while."""
    buffer = _calls().allocate(context, buffer_type)
    if not buffer:
        raise NativeError("the device has too little memory")
    try:
        yield
    finally:
        _calls().free_buffer(buffer)


def random_weights(width: int = WIDTH) -> npt.NDArray[np.uint8]:
    """Return the Q4_0 blocks of one matrix with random weights; ``width`` is a multiple of 32."""
    shape = width * width // 32, 16
    random = np.random.default_rng(0)
    quants = random.integers(1, 16, shape, dtype=np.uint8) | random.integers(1, 16, shape, dtype=np.uint8) << 4
    scale = np.float16(1 / (_DEVIATION * width**0.5))
    scales = np.full((shape[0], 1), scale, dtype=np.float16).view(np.uint8)
    return np.hstack([scales, quants])
