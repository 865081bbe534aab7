"""A bounded reader of GGUF headers (versions 2 and 3, little endian).

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing in a file is trusted: every count and
length is checked against the bytes that are there before anything is allocated or looped over.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, TypeAlias

from gguf.constants import GGML_QUANT_SIZES

from pollama.errors import WeightsError
from pollama.types.gojson import shortest_float32

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MAX_ALIGNMENT: Final = 1 << 20
_MAX_HEADER_BYTES: Final = 256 << 20
_MAX_KEYS: Final = 1 << 16
_MAX_KEY_BYTES: Final = (1 << 16) - 1
_MAX_TEXT_BYTES: Final = 64 << 20
_MAX_TENSORS: Final = 1 << 18
_MAX_DIMENSIONS: Final = 4
_MAX_ELEMENTS: Final = (1 << 63) - 1
_MAX_ARRAY: Final = 1 << 22
_CHUNK: Final = 1 << 20
"""Bytes that are read at once."""
_SMALL_ARRAY: Final = 4096
"""Number arrays up to this length (one value per layer, say) are always decoded."""

_SCALARS: Final = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_FLOAT32: Final = 6
_TEXT: Final = 8
_ARRAY: Final = 9

_TENSOR_TYPES: Final = {kind.value: (kind.name, block, size) for kind, (block, size) in GGML_QUANT_SIZES.items()}
"""Of each ggml type: its name, the elements of one block and the bytes of one block."""


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """An array that was not decoded: only its length is known."""

    length: int


Value: TypeAlias = bool | int | float | str | list[bool] | list[int] | list[float] | list[str] | SkippedArray


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header describes it. ``offset`` counts from the start of the tensor data, in bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    elements: int
    size: int


@dataclass(frozen=True)
class Header:
    """Everything before the tensor data of one GGUF file; ``file_size`` in bytes.

    ``spans`` are the positions in the file at which each key with its value begins and ends.
    """

    path: Path
    version: int
    values: dict[str, Value]
    spans: dict[str, tuple[int, int]]
    tensors: tuple[Tensor, ...]
    alignment: int
    data_offset: int
    file_size: int

    @property
    def architecture(self) -> str:
        """``general.architecture``, or "" when it is absent."""
        return self.text("general.architecture")

    @cached_property
    def parameter_count(self) -> int:
        """Number of elements of all tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    def text(self, key: str) -> str:
        """Return a text value, or "" when the key is absent. Raises WeightsError for another type."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise WeightsError(f"{self.path}: {key} must be a text")
        return value

    def integer(self, key: str) -> int | None:
        """Return a whole number that is not negative, or None. Raises WeightsError for another value."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise WeightsError(f"{self.path}: {key} must be a whole number that is not negative")
        return value

    def flag(self, key: str) -> bool | None:
        """Return a truth value, or None when the key is absent or of another type."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else None

    def own(self, key: str) -> str:
        """Return the full name of a key of this architecture: ``llama.context_length``."""
        return f"{self.architecture}.{key}"


def read_header(path: Path, *, arrays: bool = False) -> Header:
    """Read the header of a GGUF file.

    Arrays of texts and long arrays are decoded only when ``arrays`` is true. Raises WeightsError, which names
    the file and what is wrong with it, or FileNotFoundError.
    """
    try:
        with path.open("rb") as file:
            return _Parser(path, file, arrays).header()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


def is_gguf(path: Path) -> bool:
    """Whether the file begins as a GGUF of either byte order."""
    with path.open("rb") as file:
        return file.read(4) in (MAGIC, MAGIC[::-1])


class _Parser:
    """One pass over a header; ``_position`` is the next byte to read, ``_window`` what is buffered from ``_start`` on.

    The file is read and not mapped: a mapping of a file that another process cuts short kills this one.
    """

    def __init__(self, path: Path, file: BinaryIO, arrays: bool) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._arrays = arrays
        self._position = 0
        self._start = 0
        self._window = b""

    def header(self) -> Header:
        version = self._version()
        tensor_count = self._count("tensors", _MAX_TENSORS, smallest=24)
        key_count = self._count("keys", _MAX_KEYS, smallest=13)
        values, spans = self._values(key_count)
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        alignment = self._alignment(values)
        data_offset = -(-self._position // alignment) * alignment
        self._check_tensors(tensors, data_offset)
        return Header(self._path, version, values, spans, tensors, alignment, data_offset, self._size)

    def _version(self) -> int:
        magic = self._take(min(4, self._size), "magic")
        if magic != MAGIC:
            self._fail("not a GGUF file" if magic != MAGIC[::-1] else "big-endian GGUF is not supported")
        version: int = self._number("<I", "version")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS
            self._fail("big-endian GGUF is not supported" if swapped else f"GGUF version {version} is not supported")
        return version

    def _values(self, count: int) -> tuple[dict[str, Value], dict[str, tuple[int, int]]]:
        values: dict[str, Value] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(count):
            begin = self._position
            key = self._text("key", _MAX_KEY_BYTES)
            if key in values:
                self._fail(f"key {key} is there twice")
            values[key] = self._value(key)
            spans[key] = (begin, self._position)
        return values, spans

    def _value(self, key: str) -> Value:
        kind: int = self._number("<I", key)
        if kind == _TEXT:
            return self._text(key, _MAX_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            self._fail(f"{key} has the unknown type {kind}")
        value: bool | int | float = self._number(_SCALARS[kind], key)
        return shortest_float32([value])[0] if kind == _FLOAT32 else value

    def _array(self, key: str) -> Value:
        kind: int = self._number("<I", key)
        if kind == _TEXT:
            return self._texts(key, self._count(key, _MAX_ARRAY, smallest=8))
        if kind not in _SCALARS:
            self._fail(f"{key} is an array of the {'unsupported' if kind == _ARRAY else 'unknown'} type {kind}")
        width = struct.calcsize(_SCALARS[kind])
        count = self._count(key, _MAX_ARRAY, smallest=width)
        if self._arrays or count <= _SMALL_ARRAY:
            return _numbers(kind, self._take(count * width, key))
        self._position += count * width
        return SkippedArray(count)

    def _texts(self, key: str, count: int) -> list[str] | SkippedArray:
        begin = self._position
        self._skip_texts(key, count)
        if not self._arrays:
            return SkippedArray(count)
        end, self._position = self._position, begin
        return _split_texts(self._take(end - begin, key), count)

    def _skip_texts(self, key: str, count: int) -> None:
        """Pass over texts without making them: a vocabulary has hundreds of thousands."""
        unpack = struct.Struct("<Q").unpack_from
        position, start, last = self._position, self._start, -1
        for _ in range(count):
            if position > last:
                self._position = position
                self._fill(8, key)
                start, last = self._start, self._start + len(self._window) - 8
            position += 8 + unpack(self._window, position - start)[0]
        self._position = position
        self._fill(0, key)

    def _tensor(self) -> Tensor:
        name = self._text("tensor name", _MAX_KEY_BYTES)
        dimensions: int = self._number("<I", name)
        if dimensions > _MAX_DIMENSIONS:
            self._fail(f"tensor {name} has {dimensions} dimensions")
        shape: tuple[int, ...] = tuple(self._number("<Q", name) for _ in range(dimensions))
        kind: int = self._number("<I", name)
        offset: int = self._number("<Q", name)
        elements = prod(shape)
        if elements > _MAX_ELEMENTS:
            self._fail(f"tensor {name} has the impossible shape {list(shape)}")
        if kind not in _TENSOR_TYPES:
            self._fail(f"tensor {name} has the unknown type {kind}")
        type_name, block, block_size = _TENSOR_TYPES[kind]
        if shape and shape[0] % block:
            self._fail(f"tensor {name}: rows of {shape[0]} elements are no multiple of the {block} of {type_name}")
        return Tensor(name, type_name, shape, offset, elements, elements // block * block_size)

    def _alignment(self, values: dict[str, Value]) -> int:
        alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if isinstance(alignment, bool) or not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT:
            self._fail(f"general.alignment is {alignment!r}")
        return alignment

    def _check_tensors(self, tensors: tuple[Tensor, ...], data_offset: int) -> None:
        names = set()
        for tensor in tensors:
            if tensor.name in names:
                self._fail(f"tensor {tensor.name} is there twice")
            names.add(tensor.name)
            end = data_offset + tensor.offset + tensor.size
            if end > self._size:
                self._fail(f"tensor {tensor.name} ends at byte {end}, the file at byte {self._size}: it is truncated")

    def _count(self, what: str, limit: int, *, smallest: int) -> int:
        """Read a count of things that take at least ``smallest`` bytes each."""
        count: int = self._number("<Q", what)
        if count > limit or count * smallest > self._size - self._position:
            self._fail(f"{what}: {count} entries cannot be in a file of {self._size} bytes")
        return count

    def _text(self, what: str, limit: int) -> str:
        length: int = self._number("<Q", what)
        if length > limit:
            self._fail(f"{what} is {length} bytes long")
        raw = self._take(length, what)
        return raw.decode("utf-8", "replace")

    def _number(self, form: str, what: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form), what))[0]

    def _take(self, length: int, what: str) -> bytes:
        """Return the next ``length`` bytes."""
        self._fill(length, what)
        begin = self._position - self._start
        self._position += length
        return self._window[begin : begin + length]

    def _fill(self, length: int, what: str) -> None:
        """Make the next ``length`` bytes part of the window."""
        end = self._position + length
        if end > self._size:
            self._fail(f"the file ends within {what}")
        if end > _MAX_HEADER_BYTES:
            self._fail(f"{what} lies beyond the {_MAX_HEADER_BYTES} bytes that a header may take")
        if self._position < self._start or end > self._start + len(self._window):
            self._file.seek(self._position)
            self._start = self._position
            self._window = self._file.read(max(length, _CHUNK))
            if len(self._window) < length:
                self._fail(f"the file ends within {what}")

    def _fail(self, reason: str) -> NoReturn:
        raise WeightsError(f"{self._path}: {reason}")


def _split_texts(raw: bytes, count: int) -> list[str]:
    texts, position, unpack = [], 0, struct.Struct("<Q").unpack_from
    for _ in range(count):
        begin = position + 8
        position = begin + unpack(raw, position)[0]
        texts.append(raw[begin:position].decode("utf-8", "replace"))
    return texts


def _numbers(kind: int, raw: bytes) -> list[bool] | list[int] | list[float]:
    form = _SCALARS[kind]
    numbers = list(struct.unpack(f"<{len(raw) // struct.calcsize(form)}{form[1]}", raw))
    return shortest_float32(numbers) if kind == _FLOAT32 else numbers
