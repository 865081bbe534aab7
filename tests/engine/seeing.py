"""Jobs with images, and what mtmd's own loop makes of them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp.mtmd_cpp as typed_mtmd

from pollama.types.generation import GenerateJob
from tests.engine.reference import llama, plain_loop
from tests.engine.support import GREEDY

mtmd: Any = typed_mtmd


def describe(*images: bytes, prompt: str = "", max_tokens: int = 12) -> GenerateJob:
    """Return a greedy job about ``images``; ``prompt`` has an ``[image]`` for each."""
    text = prompt or "look " + " and ".join("[image]" for _ in images) + " now"
    return GenerateJob(prompt=text, media=list(images), media_marker="[image]", max_tokens=max_tokens, sampling=GREEDY)


def mtmd_tokens(model: Path, projector: Path, images: list[bytes], count: int, least_tokens: int = 0) -> list[int]:
    """Generate behind ``describe``'s prompt with mtmd's own evaluation, images of ``least_tokens`` or more."""
    parameters = mtmd.mtmd_context_params_default()
    if least_tokens:
        parameters.image_min_tokens = least_tokens
    with plain_loop(model, 4096) as loop:
        handle = llama.llama_get_model(loop.context)
        context = mtmd.mtmd_init_from_file(str(projector).encode(), handle, parameters)
        bitmaps = [
            mtmd.mtmd_helper_bitmap_init_from_buf(context, (ctypes.c_uint8 * len(image))(*image), len(image), False)
            for image in images
        ]
        marker = mtmd.mtmd_default_marker()
        prompt = b"look " + b" and ".join([marker] * len(images)) + b" now"
        text = mtmd.mtmd_input_text(text=prompt, text_len=len(prompt), add_special=True, parse_special=True)
        chunks = mtmd.mtmd_input_chunks_init()
        array = (ctypes.c_void_p * len(bitmaps))(*bitmaps)
        assert mtmd.mtmd_tokenize(context, chunks, ctypes.byref(text), array, len(bitmaps)) == 0
        end = ctypes.c_int32()
        assert mtmd.mtmd_helper_eval_chunks(context, loop.context, chunks, 0, 0, 512, True, ctypes.byref(end)) == 0
        token = loop.most_likely()
        produced = [token]
        while len(produced) < count:
            produced.append(loop.feed([produced[-1]]))
        mtmd.mtmd_input_chunks_free(chunks)
        for bitmap in bitmaps:
            mtmd.mtmd_bitmap_free(bitmap)
        mtmd.mtmd_free(context)
        return produced
