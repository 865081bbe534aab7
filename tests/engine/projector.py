"""Writes tiny image projectors of random weights, in the shapes of LLaVA's and Qwen2-VL's, and images for them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

IMAGE, PATCH, WIDTH, FEED_FORWARD, BLOCKS = 28, 14, 32, 64, 1
POSITIONS = (IMAGE // PATCH) ** 2
AddTensor = Callable[..., None]


def write_projector(path: Path, text_width: int) -> Path:
    """Write a projector for a model of ``text_width``; an image takes ``POSITIONS`` positions, one cell each."""
    writer = _writer(path, "mlp", text_width)
    writer.add_bool("clip.use_gelu", False)
    add = _tensors(writer)
    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    add("v.class_embd", WIDTH)
    add("v.position_embd.weight", POSITIONS + 1, WIDTH)
    add("v.pre_ln.weight", WIDTH)
    add("v.pre_ln.bias", WIDTH)
    _add_blocks(add)
    _add_perceptron(add, WIDTH, text_width, text_width)
    return _written(writer, path)


def write_mrope_projector(path: Path, text_width: int) -> Path:
    """Write a projector in the shape of Qwen2-VL's: an image takes more cells than positions."""
    writer = _writer(path, "qwen2vl_merger", text_width)
    writer.add_bool("clip.use_silu", True)
    add = _tensors(writer)
    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    add("v.patch_embd.weight.1", WIDTH, 3, PATCH, PATCH)
    _add_blocks(add)
    add("v.post_ln.weight", WIDTH)
    add("v.post_ln.bias", WIDTH)
    _add_perceptron(add, 4 * WIDTH, 4 * WIDTH, text_width)
    return _written(writer, path)


def _writer(path: Path, kind: str, text_width: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", kind)
    for key, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "block_count": BLOCKS,
        "projection_dim": text_width,
        "attention.head_count": 2,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    return writer


def _tensors(writer: gguf.GGUFWriter) -> AddTensor:
    dice = np.random.default_rng(4)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (dice.standard_normal(shape) * 0.3).astype(np.float32))

    return add


def _add_blocks(add: AddTensor) -> None:
    for block in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add(f"v.blk.{block}.{part}.weight", WIDTH, WIDTH)
            add(f"v.blk.{block}.{part}.bias", WIDTH)
        for norm in ("ln1", "ln2"):
            add(f"v.blk.{block}.{norm}.weight", WIDTH)
            add(f"v.blk.{block}.{norm}.bias", WIDTH)
        add(f"v.blk.{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add(f"v.blk.{block}.ffn_up.bias", FEED_FORWARD)
        add(f"v.blk.{block}.ffn_down.weight", WIDTH, FEED_FORWARD)
        add(f"v.blk.{block}.ffn_down.bias", WIDTH)


def _add_perceptron(add: AddTensor, into: int, hidden: int, out: int) -> None:
    add("mm.0.weight", hidden, into)
    add("mm.0.bias", hidden)
    add("mm.2.weight", out, hidden)
    add("mm.2.bias", out)


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(red: int, green: int, blue: int, size: int = IMAGE) -> bytes:
    """Return a PNG image of one colour."""
    row = b"\0" + bytes((red, green, blue)) * size
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * size)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
