"""Stores, GGUF files and an inspector for the tests of the model store."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from gguf import GGUFWriter
from numpy import arange, zeros

from pollama.errors import TemplateError
from pollama.models.library import ModelLibrary
from pollama.types.events import Progress
from pollama.types.library import CreateRequest
from pollama.types.model import PromptTraits, StoredModel


@dataclass
class PlainInspector:
    """Takes every template for a plain one, except the text ``{{ if``; knows the chat templates it is given."""

    known: dict[str, tuple[str, str, list[str]]] = field(default_factory=dict)
    inspected: list[str] = field(default_factory=list)

    def traits(self, stored: StoredModel) -> PromptTraits:
        self.inspected.append(stored.name)
        kind = "embedding" if stored.spec and stored.spec.pooling_type is not None else "completion"
        native = stored.template is None and stored.spec is not None and bool(stored.spec.chat_template)
        mode: Any = "native" if native else "rendered"
        return PromptTraits(mode=mode, selected="none", capabilities=(kind,), listed_capabilities=(kind,))

    def check_template(self, text: str) -> None:
        if text == "{{ if":
            raise TemplateError("template: :1: unclosed action")

    def detect_template(self, chat_template: str) -> tuple[str, str, list[str]] | None:
        return self.known.get(chat_template)


SHARDS = ("big-00001-of-00003.gguf", "big-00002-of-00003.gguf", "big-00003-of-00003.gguf")
LLAMA_KEYS: Mapping[str, Any] = {
    "general.file_type": 1,
    "general.name": "Test Llama",
    "llama.block_count": 2,
    "llama.context_length": 128,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.tokens": ["a", "b", "é"],
    "tokenizer.ggml.scores": [0.5, 0.25, 0.1],
}
LLAMA_TENSORS: Mapping[str, tuple[int, ...]] = {
    "token_embd.weight": (3, 64),
    "blk.0.attn_k.weight": (32, 64),
    "blk.1.attn_k.weight": (32, 64),
    "output.weight": (3, 64),
}


def write_gguf(
    path: Path,
    architecture: str = "llama",
    keys: Mapping[str, Any] = LLAMA_KEYS,
    tensors: Mapping[str, Sequence[int]] = LLAMA_TENSORS,
) -> Path:
    """Write a GGUF with F32 tensors of zeros; shapes are in numpy's order (rows first)."""
    writer = GGUFWriter(path, architecture)
    for key, value in keys.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for name, shape in tensors.items():
        writer.add_tensor(name, zeros(tuple(shape), dtype="float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_shards(folder: Path) -> dict[str, bytes]:
    """Write a model of five tensors as llama.cpp splits it and return the shards by name."""
    writer = GGUFWriter(folder / "big.gguf", "llama", split_max_tensors=2)
    writer.add_uint32("llama.block_count", 5)
    writer.add_array("tokenizer.ggml.tokens", ["a", "é"])
    for block in range(5):
        writer.add_tensor(f"blk.{block}.attn_k.weight", arange(33 * (block + 1), dtype="float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {name: (folder / name).read_bytes() for name in SHARDS}


def raw_gguf(*, version: int = 3, tensors: int = 0, keys: int = 0, body: bytes = b"") -> bytes:
    """Return the bytes of a GGUF whose header is whatever the caller claims it to be."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


def text(value: str) -> bytes:
    """Return a text as GGUF writes it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def digest_of(data: bytes) -> str:
    """Return the digest that names ``data``."""
    return f"sha256:{sha256(data).hexdigest()}"


async def upload(library: ModelLibrary, data: bytes) -> str:
    """Put ``data`` into the store as a client does and return its digest."""
    digest = digest_of(data)
    async with library.open_upload(digest) as blob:
        await blob.write(data)
        await blob.commit()
    return digest


async def create(library: ModelLibrary, model: str, **fields: Any) -> list[str]:
    """Create a model and return the status lines."""
    return [step.status for step in await steps(library, CreateRequest(model=model, **fields))]


async def steps(library: ModelLibrary, request: CreateRequest) -> list[Progress]:
    """Carry a create request out and return its records."""
    return [step async for step in library.create(request)]


async def import_gguf(library: ModelLibrary, path: Path, model: str = "base", **fields: Any) -> str:
    """Import a GGUF file as ``model`` and return its digest."""
    digest = await upload(library, path.read_bytes())
    await create(library, model, files={path.name: digest}, **fields)
    return digest
