"""Split GGUF files: the shards of one model become one file again.

llama.cpp finds the shards of a model by their file names, which blobs do not have. Shards are named
``<prefix>-00001-of-00003.gguf``; the first carries all metadata, each its part of the tensors.
"""

from __future__ import annotations

import os
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO, Final

import msgspec
from gguf.constants import GGMLQuantizationType

from pollama.errors import BadRequestError
from pollama.models import gguf
from pollama.models.blobs import BlobStore, BlobWriter, store_errors
from pollama.models.gguf import Header, Tensor
from pollama.models.imports import Part

SHARD_NAME: Final = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
"""The file name of a shard: prefix, number from 1, and how many there are."""
_CHUNK: Final = 4 << 20
_VERSION: Final = 3
_SPLIT_KEYS: Final = "split."


@dataclass(frozen=True, slots=True)
class _Shard:
    name: str
    part: Part
    header: Header
    prefix: str
    index: int
    count: int


def joined(parts: dict[str, Part], blobs: BlobStore) -> list[Part]:
    """Return the parts, with the shards of each split file replaced by the one that they make together.

    Raises BadRequestError when shards are missing or contradict each other, StoreError.
    """
    whole: list[Part] = []
    groups: defaultdict[str, list[_Shard]] = defaultdict(list)
    for name, part in parts.items():
        header = part.header
        if header is None or (header.integer("split.count") or 1) == 1:
            whole.append(part)
        else:
            shard = _shard(name, part, header)
            groups[shard.prefix].append(shard)
    return [*whole, *(_join(prefix, shards, blobs) for prefix, shards in groups.items())]


def _shard(name: str, part: Part, header: Header) -> _Shard:
    match = SHARD_NAME.fullmatch(name)
    if match is None:
        raise BadRequestError(f'split GGUF "{name}" must use llama.cpp split filename pattern')
    number, named_count = int(match[2]), int(match[3])
    index, count = header.integer("split.no"), header.integer("split.count") or 0
    if named_count != count:
        raise BadRequestError(f'split GGUF "{name}" filename count {named_count} does not match metadata count {count}')
    if index is None:
        raise BadRequestError(f'split GGUF "{name}" is missing split.no metadata')
    if number != index + 1:
        raise BadRequestError(f'split GGUF "{name}" filename index {number} does not match metadata index {index + 1}')
    return _Shard(name, part, header, match[1], index, count)


def _join(prefix: str, shards: list[_Shard], blobs: BlobStore) -> Part:
    shards = sorted(shards, key=lambda shard: shard.index)
    for one, other in pairwise(shards):
        if one.index == other.index:
            raise BadRequestError(f"split GGUF has duplicate shard index {one.index}")
    if len(shards) != shards[0].count:
        raise BadRequestError(f'split GGUF "{prefix}" has {len(shards)} shards, expected {shards[0].count}')
    headers = [shard.header for shard in shards]
    _check_tensors(prefix, headers)
    with blobs.writer() as writer:
        _write(headers, writer)
        stored = writer.commit()
    layer = msgspec.structs.replace(shards[0].part.layer, digest=stored.digest, size=stored.size)
    verb = "creating new" if stored.created else "using existing"
    header = gguf.read_header(blobs.path(stored.digest))
    return replace(shards[0].part, layer=layer, status=f"{verb} layer {stored.digest}", header=header)


def _check_tensors(prefix: str, headers: list[Header]) -> None:
    names = [tensor.name for header in headers for tensor in header.tensors]
    expected = headers[0].integer("split.tensors.count")
    if expected is not None and len(names) != expected:
        raise BadRequestError(f'split GGUF "{prefix}" has {len(names)} tensors, expected {expected}')
    if len(set(names)) != len(names):
        raise BadRequestError(f'split GGUF "{prefix}" has a tensor in two shards')


def _write(headers: list[Header], writer: BlobWriter) -> None:
    """Write one GGUF with the metadata of the first shard and the tensors of all."""
    alignment = headers[0].alignment
    head = _head(headers, alignment)
    writer.write(head + bytes(-len(head) % alignment))
    for header in headers:
        with store_errors(f"{header.path} cannot be read"), header.path.open("rb") as file:
            for tensor in header.tensors:
                for chunk in _data(file, header, tensor):
                    writer.write(chunk)
                writer.write(bytes(-tensor.size % alignment))


def _head(headers: list[Header], alignment: int) -> bytes:
    first = headers[0]
    kept = [span for key, span in first.spans.items() if not key.startswith(_SPLIT_KEYS)]
    tensors = [tensor for header in headers for tensor in header.tensors]
    with store_errors(f"{first.path} cannot be read"), first.path.open("rb") as file:
        entries = b"".join(os.pread(file.fileno(), end - begin, begin) for begin, end in kept)
    counts = struct.pack("<IQQ", _VERSION, len(tensors), len(kept))
    return gguf.MAGIC + counts + entries + _tensor_infos(tensors, alignment)


def _tensor_infos(tensors: list[Tensor], alignment: int) -> bytes:
    infos, offset = [], 0
    for tensor in tensors:
        name, kind = tensor.name.encode(), GGMLQuantizationType[tensor.type].value
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        infos.append(struct.pack("<Q", len(name)) + name + shape + struct.pack("<IQ", kind, offset))
        offset += -(-tensor.size // alignment) * alignment
    return b"".join(infos)


def _data(file: BinaryIO, header: Header, tensor: Tensor) -> Iterator[bytes]:
    file.seek(header.data_offset + tensor.offset)
    rest = tensor.size
    while rest and (chunk := file.read(min(rest, _CHUNK))):
        rest -= len(chunk)
        yield chunk
