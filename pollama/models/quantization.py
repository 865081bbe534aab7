"""Quantising a model while it is created: a process of its own writes the new weights."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from pollama.errors import PollamaError
from pollama.models import gguf
from pollama.models.blobs import BlobStore, store_errors
from pollama.models.gguf import Header
from pollama.models.imports import Part
from pollama.models.manifest import Layer
from pollama.models.spec import UNKNOWN_FILE_TYPE, file_type_name
from pollama.types.events import Progress
from pollama.types.json import Json

_TYPES: Final = ("F32", "F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M")
_ALIASES: Final = {"Q4_K": "Q4_K_M"}
_SOURCES: Final = ("F16", "BF16", "F32")
_NO_DIGEST: Final = "0" * 19
"""Stands in progress records for the digest that is not known yet."""

_FULL_EMBEDDINGS: Final = (r"^token_embd\.weight=f16", r"^output\.weight=f16")
_KEPT: Final = {
    "qwen35": (r"nextn\.eh_proj=q8_0",),
    "qwen35moe": (r"nextn\.eh_proj=q8_0",),
    "gemma3n": ("per_layer_token_embd=f16",),
    "deepseek2": tuple(f"{name}=q8_0" for name in ("attn_k_b", "attn_q_a", "attn_q_b", "attn_v_b", "attn_kv_a_mqa")),
    "glmocr": _FULL_EMBEDDINGS,
    "glm4": _FULL_EMBEDDINGS,
}
"""Of each architecture: tensors that the four-bit types leave at a higher precision."""


def stored_file_type(header: Header) -> str:
    """Return the quantisation that a model's config states; 0, which is F32, counts as unstated there."""
    number = header.integer("general.file_type")
    return file_type_name(number) if number else UNKNOWN_FILE_TYPE


def wanted_type(text: str) -> str:
    """Return the name of the wanted type, in upper case. Raises PollamaError when it is none."""
    name = text.upper()
    known = _ALIASES.get(name, name)
    if known not in _TYPES:
        raise PollamaError(f"unsupported quantization type {name} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0")
    return known


def needed_type(header: Header, text: str, *, draft: bool = False) -> str:
    """Return the type to which weights have to be quantised for the wish ``text``, "" when they stay as they are.

    Raises PollamaError when the type is unknown or the weights are quantised already.
    """
    if not text:
        return ""
    wanted, given = wanted_type(text), stored_file_type(header)
    if given not in _SOURCES:
        raise PollamaError(
            f"draft quantization requires an unquantized draft model, got {given}"
            if draft
            else "quantization is only supported for F16, BF16 and F32 models"
        )
    return wanted if wanted != given else ""


class Quantization:
    """The making of one quantised layer; ``part`` is the old one, and the new one after ``run``."""

    def __init__(self, part: Part, header: Header, file_type: str, blobs: BlobStore) -> None:
        self.part = part
        self._header = header
        self._file_type = file_type
        self._blobs = blobs

    async def run(self) -> AsyncGenerator[Progress, None]:
        """Quantise and report. Raises PollamaError with llama.cpp's reason, or StoreError; leaves no partial file."""
        target = await asyncio.to_thread(self._scratch_file)
        try:
            async with aclosing(_records(self._command(target))) as records:
                async for record in records:
                    if "error" in record:
                        raise PollamaError(f"quantization to {self._file_type} failed: {record['error']}")
                    yield self._progress(record)
            yield Progress(status="verifying conversion")
            self.part = await asyncio.to_thread(self._adopt, target)
        finally:
            target.unlink(missing_ok=True)

    def _scratch_file(self) -> Path:
        with store_errors(f"no blob can be written below {self._blobs.folder}"):
            descriptor, name = tempfile.mkstemp(prefix=self._file_type, dir=self._blobs.folder)
            os.close(descriptor)
        return Path(name)

    def _command(self, target: Path) -> list[str]:
        kept = _KEPT.get(self._header.architecture, ()) if self._file_type.startswith("Q4") else ()
        return [
            sys.executable,
            "-m",
            "pollama.native.quantize",
            str(self._header.path),
            str(target),
            self._file_type,
            *kept,
        ]

    def _progress(self, record: dict[str, Json]) -> Progress:
        given = stored_file_type(self._header)
        size = sum(tensor.size for tensor in self._header.tensors)
        return Progress(
            status=f"quantizing {given} model to {self._file_type}",
            digest=_NO_DIGEST,
            total=size,
            completed=size * record["completed"] // record["total"],
        )

    def _adopt(self, target: Path) -> Part:
        header = gguf.read_header(target)
        if len(header.tensors) != len(self._header.tensors):
            raise PollamaError(f"quantization to {self._file_type} failed: tensors were lost")
        stored = self._blobs.adopt(target)
        layer = Layer(media_type=self.part.layer.media_type, digest=stored.digest, size=stored.size)
        verb = "creating new" if stored.created else "using existing"
        return Part(layer, f"{verb} layer {stored.digest}", gguf.read_header(self._blobs.path(stored.digest)))


async def _records(command: list[str]) -> AsyncGenerator[dict[str, Json], None]:
    """Yield what the process reports. Raises PollamaError when it ends in a way that it cannot report."""
    failed = False
    async with _running(command) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            record = msgspec.json.decode(line, type=dict[str, Json])
            failed = failed or "error" in record
            yield record
        status = await process.wait()
    if status and not failed:
        raise PollamaError(f"the quantizing process ended with status {status}")


@asynccontextmanager
async def _running(command: list[str]) -> AsyncIterator[Process]:
    """Run a process that ends with this block, or with this process."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
