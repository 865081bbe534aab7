"""Writes a tiny image projector (a LLaVA-style CLIP of random weights) and images for it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np

IMAGE, PATCH, WIDTH, FEED_FORWARD = 28, 14, 32, 64
POSITIONS = (IMAGE // PATCH) ** 2


def write_projector(path: Path, text_width: int) -> Path:
    """Write a projector for a model of ``text_width``; an image takes ``POSITIONS`` positions."""
    dice = np.random.default_rng(4)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for key, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "block_count": 2,
        "projection_dim": text_width,
        "attention.head_count": 2,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (dice.standard_normal(shape) * 0.3).astype(np.float32))

    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    add("v.class_embd", WIDTH)
    add("v.position_embd.weight", POSITIONS + 1, WIDTH)
    add("v.pre_ln.weight", WIDTH)
    add("v.pre_ln.bias", WIDTH)
    for block in range(2):
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
    add("mm.0.weight", text_width, WIDTH)
    add("mm.0.bias", text_width)
    add("mm.2.weight", text_width, text_width)
    add("mm.2.bias", text_width)
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
