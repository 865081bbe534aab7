"""Write a training checkpoint as a GGUF file that llama.cpp loads.

python export.py --run run --out demo.gguf --quant q8_0
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch
from conversation import TEMPLATE
from model import Shape
from numpy.typing import NDArray
from tokenizer import CONTROL, MARKERS, Tokenizer
from torch import Tensor

QUANTS = {
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def add_metadata(writer: gguf.GGUFWriter, shape: Shape, file_type: gguf.LlamaFileType) -> None:
    """The general keys and the architecture's sizes."""
    writer.add_type("model")
    writer.add_name("demo")
    writer.add_basename("demo")
    writer.add_description("The small chat model that pollama ships for a first try without a network.")
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_size_label(gguf.size_label(parameter_count(shape), 0, 0, 0))
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_dimension_count(shape.width // shape.heads)


def parameter_count(shape: Shape) -> int:
    """Weights in the matrices; the norms' are not worth counting."""
    return shape.vocab * shape.width + shape.layers * shape.width * (4 * shape.width + 3 * shape.ffn)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    """Tokens, merges and the chat template.

    The markers are "user defined" and not "control": llama.cpp then prints them as text.
    """
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.USER_DEFINED] * len(MARKERS)
    kinds += [gguf.TokenType.NORMAL] * (len(tokenizer.tokens) - len(kinds))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.ids["<|endoftext|>"])
    writer.add_eos_token_id(tokenizer.ids["<|im_end|>"])
    writer.add_pad_token_id(tokenizer.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def tensors(weights: dict[str, Tensor]) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
    """GGUF's names and values; the joint matrices of the training are taken apart."""
    for name, weight in weights.items():
        target = name.replace("blocks.", "blk.")
        value = weight.float().numpy()
        if "attn_qkv" in target:
            for part, piece in zip("qkv", numpy.split(value, 3), strict=True):
                yield target.replace("attn_qkv", f"attn_{part}"), piece
        elif "gate_up" in target:
            for part, piece in zip(("gate", "up"), numpy.split(value, 2), strict=True):
                yield target.replace("gate_up", part), piece
        else:
            yield target, value


def export(state: dict[str, Any], tokenizer: Tokenizer, path: Path, quant: str, weights: str) -> None:
    """Write a checkpoint's weights, the averaged or the last ones: matrices quantised, norms as F32."""
    shape = Shape(**state["shape"])
    kind, file_type = QUANTS[quant]
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer, shape, file_type)
    add_tokenizer(writer, tokenizer)
    for name, value in tensors(state[weights]):
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Parse the options and export."""
    parser = argparse.ArgumentParser(description="Write a training checkpoint as a GGUF file.")
    parser.add_argument("--run", type=Path, default=Path("run"), help="folder of tokenizer and checkpoint")
    parser.add_argument("--out", type=Path, default=Path("demo.gguf"))
    parser.add_argument("--quant", choices=QUANTS, default="q8_0")
    parser.add_argument("--weights", choices=("average", "model"), default="average")
    options = parser.parse_args()
    state = torch.load(options.run / "checkpoint.pt", weights_only=True)
    export(state, Tokenizer.load(options.run / "tokenizer.json"), options.out, options.quant, options.weights)


if __name__ == "__main__":
    main()
