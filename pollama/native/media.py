"""Images and audio: llama.cpp's ``mtmd`` projectors.

Tokenising and encoding use a context of their own, beside the one that generates, and may run on another thread.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pollama.native.binding import llama, low_level
from pollama.native.context import Context
from pollama.native.errors import DecodeError, NativeError, NoRoomError
from pollama.native.library import LOG, log_receiver
from pollama.native.model import Model
from pollama.native.placeholder import placeholder

mtmd: Final = low_level("mtmd_cpp")


class MediaChunk:
    """One encoded image or piece of audio: ``positions`` in a sequence, ``cells`` of memory, one per row of embeddings.

    ``placeholder`` is the number that stands for it in lists of tokens.
    """

    def __init__(self, pointer: Any, embeddings: NDArray[np.float32], placeholder: int) -> None:
        self.pointer = pointer
        self.embeddings = embeddings
        self.placeholder = placeholder
        self.positions = int(mtmd.mtmd_input_chunk_get_n_pos(pointer))
        self.cells = int(mtmd.mtmd_input_chunk_get_n_tokens(pointer))
        weakref.finalize(self, mtmd.mtmd_input_chunk_free, pointer)


@dataclass(frozen=True, slots=True)
class MediaPrompt:
    """A prompt with media: one token per position, and the chunks by the position where they begin."""

    tokens: list[int]
    chunks: dict[int, MediaChunk]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorSettings:
    """``largest_pass``: rows that the decoding context takes at once; ``least_tokens`` of an image, 0 = the model's."""

    threads: int
    largest_pass: int
    on_gpu: bool = True
    least_tokens: int = 0


class Projector:
    """Turns media into embeddings for one model. Free with ``close``."""

    def __init__(self, model: Model, path: Path, settings: ProjectorSettings) -> None:
        """Load ``path``. Raises NativeError naming the file."""
        mtmd.mtmd_log_set(log_receiver, None)
        mtmd.mtmd_helper_log_set(log_receiver, None)
        self._largest_pass = settings.largest_pass
        self._width = int(llama.llama_model_n_embd_inp(model.pointer))
        self.pointer: Any = mtmd.mtmd_init_from_file(os.fsencode(path), model.pointer, _parameters(settings))
        if not self.pointer:
            raise NativeError(f"projector {path.name}: {LOG.error_text() or 'the engine could not load it'}")
        self.vision = bool(mtmd.mtmd_support_vision(self.pointer))
        self.audio = bool(mtmd.mtmd_support_audio(self.pointer))

    def close(self) -> None:
        """Free the projector; safe to call twice."""
        if self.pointer:
            mtmd.mtmd_free(self.pointer)
            self.pointer = None

    def prompt(self, texts: Sequence[str], media: Sequence[bytes], proceed: Callable[[], None]) -> MediaPrompt:
        """Return the prompt of ``texts`` with a medium between each two, encoded. Raises NativeError.

        ``proceed`` is called before every medium and ends the work by raising.
        """
        tokens: list[int] = []
        chunks: dict[int, MediaChunk] = {}
        seen: Counter[bytes] = Counter()
        with self._tokenized(texts, media) as parts:
            for part in parts:
                if mtmd.mtmd_input_chunk_get_type(part) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    tokens += _text_tokens(part)
                else:
                    proceed()
                    content = mtmd.mtmd_input_chunk_get_id(part) or b""
                    rows = mtmd.mtmd_input_chunk_get_n_tokens(part)
                    chunk = self._encoded(part, placeholder(content, seen[content], rows))
                    seen[content] += 1
                    chunks[len(tokens)] = chunk
                    tokens += [chunk.placeholder] * chunk.positions
        return MediaPrompt(tokens, chunks)

    @contextmanager
    def _tokenized(self, texts: Sequence[str], media: Sequence[bytes]) -> Iterator[list[Any]]:
        with ExitStack() as stack:
            bitmaps = [self._bitmap(data, stack) for data in media]
            parts = [_text_part(texts[0])]
            for bitmap, text in zip(bitmaps, texts[1:], strict=True):
                parts += [mtmd.mtmd_input_part(bitmap=bitmap), _text_part(text)]
            pointers = (ctypes.POINTER(mtmd.mtmd_input_part) * len(parts))(*map(ctypes.pointer, parts))
            chunks = mtmd.mtmd_input_chunks_init()
            stack.callback(mtmd.mtmd_input_chunks_free, chunks)
            if mtmd.mtmd_tokenize_from_parts(self.pointer, chunks, pointers, len(parts), True):
                raise NativeError("the engine could not prepare an image or audio for this model")
            count = mtmd.mtmd_input_chunks_size(chunks)
            yield [mtmd.mtmd_input_chunks_get(chunks, index) for index in range(count)]

    def _bitmap(self, data: bytes, stack: ExitStack) -> Any:
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(self.pointer, buffer, len(data), False)
        if not bitmap:
            raise NativeError("Failed to load image or audio file")
        stack.callback(mtmd.mtmd_bitmap_free, bitmap)
        mtmd.mtmd_bitmap_set_id(bitmap, hashlib.sha256(data).hexdigest().encode())
        return bitmap

    def _encoded(self, part: Any, number: int) -> MediaChunk:
        rows = mtmd.mtmd_input_chunk_get_n_tokens(part)
        if mtmd.mtmd_decode_use_non_causal(self.pointer, part) and rows > self._largest_pass:
            raise NativeError(f"an image of {rows} tokens needs num_batch {rows} or more")
        if mtmd.mtmd_encode_chunk(self.pointer, part):
            raise NativeError("the engine could not encode an image or audio")
        output = mtmd.mtmd_get_output_embd(self.pointer)
        embeddings = np.ctypeslib.as_array(output, (rows * self._width,)).copy()
        return MediaChunk(mtmd.mtmd_input_chunk_copy(part), embeddings, number)

    def decode(self, context: Context, chunk: MediaChunk, sequence: int, start: int) -> None:
        """Put a chunk into the memory of ``sequence`` at position ``start``. Raises NoRoomError or DecodeError."""
        end = ctypes.c_int32()
        floats = chunk.embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        code = context.timed(
            mtmd.mtmd_helper_decode_image_chunk,
            self.pointer, context.pointer, chunk.pointer, floats, start, sequence, context.batch, ctypes.byref(end),
            mtmd.mtmd_helper_post_decode_callback(), None,
        )  # fmt: skip
        if code == 1:
            raise NoRoomError("no free KV cells for an image")
        if code:
            raise DecodeError(code)


def _parameters(settings: ProjectorSettings) -> Any:
    parameters = mtmd.mtmd_context_params_default()
    parameters.n_threads = settings.threads
    parameters.use_gpu = settings.on_gpu
    parameters.print_timings = False
    if settings.least_tokens:
        parameters.image_min_tokens = settings.least_tokens
    return parameters


def _text_part(text: str) -> Any:
    data = text.encode("utf-8", "replace")
    content = mtmd.mtmd_input_text(text=data, text_len=len(data), add_special=False, parse_special=True)
    return mtmd.mtmd_input_part(text=ctypes.pointer(content))


def _text_tokens(part: Any) -> list[int]:
    count = ctypes.c_size_t()
    tokens = mtmd.mtmd_input_chunk_get_tokens_text(part, ctypes.byref(count))
    return [int(token) for token in tokens[: count.value]]
