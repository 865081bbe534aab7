"""Write GGUF models with random weights, of any shape, for tests and benchmarks.

python tools/random_model.py --preset 60m --out 60m.gguf
python tools/random_model.py --arch gemma3 --layers 4 --width 128 --quant q8_0 --out tiny.gguf

Such a model writes nonsense, but it costs what a trained model of its shape costs.
The same options write the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import gguf
import numpy
from numpy.typing import NDArray

Array = NDArray[numpy.float32]
Tensor = tuple[str, Array]

QUANTS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
POOLINGS = {
    "mean": gguf.PoolingType.MEAN,
    "cls": gguf.PoolingType.CLS,
    "last": gguf.PoolingType.LAST,
    "none": gguf.PoolingType.NONE,
}
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONVOLUTION = 4  # tokens that mamba's convolution sees
STATE = 16  # numbers that mamba keeps per channel
SHORT_CONVOLUTION = 3  # tokens that lfm2's convolution sees


@dataclass(frozen=True)
class Spec:
    """The model to write; the sizes are GGUF's."""

    arch: str = "llama"
    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 128
    vocab: int = 512
    context: int = 512
    window: int = 64
    quant: str = "f32"
    pooling: str = "mean"
    seed: int = 0

    @property
    def head_width(self) -> int:
        """Numbers per attention head."""
        return self.width // self.heads


PRESETS = {
    "60m": Spec(layers=12, width=512, heads=8, kv_heads=8, ffn=1536, vocab=32_000, context=8192, quant="q8_0"),
    "250m": Spec(layers=24, width=768, heads=12, kv_heads=4, ffn=2048, vocab=128_000, context=8192, quant="q4_0"),
}


class Dice:
    """Weights by their role, drawn from one seeded source in a fixed order."""

    def __init__(self, seed: int) -> None:
        self._random = numpy.random.default_rng(seed)

    def matrix(self, rows: int, columns: int) -> Array:
        """A [rows, columns] matrix that keeps the size of what it multiplies."""
        return self._random.standard_normal((rows, columns), dtype=numpy.float32) / numpy.float32(math.sqrt(columns))


def ones(*shape: int) -> Array:
    """The gain of a norm."""
    return numpy.ones(shape, dtype=numpy.float32)


def zeros(*shape: int) -> Array:
    """A bias."""
    return numpy.zeros(shape, dtype=numpy.float32)


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes, indexed by byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def letter_merges() -> Iterator[tuple[str, str]]:
    """Every pair, triple and quadruple of small letters as the merge that makes it: 475,228 in all."""
    letters = string.ascii_lowercase
    pairs = ["".join(pair) for pair in itertools.product(letters, repeat=2)]
    yield from itertools.product(letters, letters)
    yield from itertools.product(pairs, letters)
    yield from itertools.product(pairs, pairs)


def add_tokenizer(writer: gguf.GGUFWriter, vocab: int) -> None:
    """A byte-level BPE of exactly `vocab` tokens: control tokens, bytes, then letter groups."""
    smallest = len(CONTROL) + 256
    if vocab <= smallest:
        raise ValueError(f"a vocabulary needs more than {smallest} tokens")
    merges = list(itertools.islice(letter_merges(), vocab - smallest))
    tokens = [*CONTROL, *byte_symbols(), *(left + right for left, right in merges)]
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * (vocab - len(CONTROL))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{left} {right}" for left, right in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_general(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """What every architecture says about itself."""
    writer.add_type("model")
    writer.add_name(f"random {spec.arch}")
    writer.add_file_type(QUANTS[spec.quant][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(spec.vocab)
    writer.add_context_length(spec.context)
    writer.add_embedding_length(spec.width)
    writer.add_block_count(spec.layers)
    writer.add_feed_forward_length(0 if spec.arch == "mamba" else spec.ffn)
    writer.add_head_count(0 if spec.arch == "mamba" else spec.heads)


def add_attention(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """Rotary attention behind an RMS norm, in each layer."""
    writer.add_head_count_kv(spec.kv_heads)
    add_rotary(writer, spec)


def add_rotary(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """The sizes of a head and of its rotation."""
    writer.add_key_length(spec.head_width)
    writer.add_value_length(spec.head_width)
    writer.add_rope_dimension_count(spec.head_width)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)


def attention(spec: Spec, dice: Dice, block: str) -> Iterator[Tensor]:
    """The four matrices of grouped attention."""
    inner, shared = spec.heads * spec.head_width, spec.kv_heads * spec.head_width
    yield f"{block}.attn_q.weight", dice.matrix(inner, spec.width)
    yield f"{block}.attn_k.weight", dice.matrix(shared, spec.width)
    yield f"{block}.attn_v.weight", dice.matrix(shared, spec.width)
    yield f"{block}.attn_output.weight", dice.matrix(spec.width, inner)


def gated_ffn(spec: Spec, dice: Dice, block: str) -> Iterator[Tensor]:
    """The three matrices of a gated feed-forward."""
    yield f"{block}.ffn_norm.weight", ones(spec.width)
    yield f"{block}.ffn_gate.weight", dice.matrix(spec.ffn, spec.width)
    yield f"{block}.ffn_up.weight", dice.matrix(spec.ffn, spec.width)
    yield f"{block}.ffn_down.weight", dice.matrix(spec.width, spec.ffn)


def embedding(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """The token embedding; it serves as output matrix too."""
    yield "token_embd.weight", dice.matrix(spec.vocab, spec.width)


def llama(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """The tensors of a llama."""
    yield from embedding(spec, dice)
    yield "output_norm.weight", ones(spec.width)
    for block in blocks(spec):
        yield f"{block}.attn_norm.weight", ones(spec.width)
        yield from attention(spec, dice, block)
        yield from gated_ffn(spec, dice, block)


def blocks(spec: Spec) -> list[str]:
    """The names of the layers."""
    return [f"blk.{layer}" for layer in range(spec.layers)]


def add_gemma3(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """Attention of which five layers in six see only a sliding window; the last one sees all."""
    add_attention(writer, spec)
    writer.add_sliding_window(spec.window)
    last = spec.layers - 1
    writer.add_sliding_window_pattern([layer % 6 != 5 and layer != last for layer in range(spec.layers)])


def gemma3(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """A llama with more norms."""
    yield from llama(spec, dice)
    for block in blocks(spec):
        yield f"{block}.attn_q_norm.weight", ones(spec.head_width)
        yield f"{block}.attn_k_norm.weight", ones(spec.head_width)
        yield f"{block}.post_attention_norm.weight", ones(spec.width)
        yield f"{block}.post_ffw_norm.weight", ones(spec.width)


def add_qwen2vl(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """Attention whose rotation has a part for time, height and width each (M-RoPE)."""
    add_attention(writer, spec)
    half = spec.head_width // 2
    writer.add_rope_dimension_sections([half - 2 * (half // 3), half // 3, half // 3, 0])


def time_rank(spec: Spec) -> int:
    """The rank of mamba's time steps."""
    return math.ceil(spec.width / 16)


def add_mamba(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """The sizes of a state-space model."""
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_inner_size(2 * spec.width)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(time_rank(spec))


def mamba(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """The tensors of a recurrent model without attention."""
    inner, rank = 2 * spec.width, time_rank(spec)
    yield from embedding(spec, dice)
    yield "output_norm.weight", ones(spec.width)
    for block in blocks(spec):
        yield f"{block}.attn_norm.weight", ones(spec.width)
        yield f"{block}.ssm_in.weight", dice.matrix(2 * inner, spec.width)
        yield f"{block}.ssm_conv1d.weight", dice.matrix(inner, CONVOLUTION)
        yield f"{block}.ssm_conv1d.bias", zeros(inner)
        yield f"{block}.ssm_x.weight", dice.matrix(rank + 2 * STATE, inner)
        yield f"{block}.ssm_dt.weight", dice.matrix(inner, rank)
        yield f"{block}.ssm_dt.bias", zeros(inner) - 3  # softplus makes it a time step of about 0.05
        yield f"{block}.ssm_a", -numpy.tile(numpy.arange(1, STATE + 1, dtype=numpy.float32), (inner, 1))
        yield f"{block}.ssm_d", ones(inner)
        yield f"{block}.ssm_out.weight", dice.matrix(spec.width, inner)


def is_attention(layer: int) -> bool:
    """Every second layer of the hybrid has attention, the others a short convolution."""
    return layer % 2 == 1


def add_lfm2(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """Attention in some layers, marked by their number of key heads."""
    add_rotary(writer, spec)
    writer.add_head_count_kv([spec.kv_heads if is_attention(layer) else 0 for layer in range(spec.layers)])
    writer.add_shortconv_l_cache(SHORT_CONVOLUTION)


def lfm2(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """The tensors of a hybrid of convolution and attention."""
    yield from embedding(spec, dice)
    yield "token_embd_norm.weight", ones(spec.width)
    for layer, block in enumerate(blocks(spec)):
        yield f"{block}.attn_norm.weight", ones(spec.width)
        yield from (normed_attention if is_attention(layer) else short_convolution)(spec, dice, block)
        yield from gated_ffn(spec, dice, block)


def normed_attention(spec: Spec, dice: Dice, block: str) -> Iterator[Tensor]:
    """Attention with a norm for queries and keys."""
    yield from attention(spec, dice, block)
    yield f"{block}.attn_q_norm.weight", ones(spec.head_width)
    yield f"{block}.attn_k_norm.weight", ones(spec.head_width)


def short_convolution(spec: Spec, dice: Dice, block: str) -> Iterator[Tensor]:
    """A gated convolution over the last tokens."""
    yield f"{block}.shortconv.conv.weight", dice.matrix(spec.width, SHORT_CONVOLUTION)
    yield f"{block}.shortconv.in_proj.weight", dice.matrix(3 * spec.width, spec.width)
    yield f"{block}.shortconv.out_proj.weight", dice.matrix(spec.width, spec.width)


def add_bert(writer: gguf.GGUFWriter, spec: Spec) -> None:
    """Attention in both directions whose outputs are pooled into one embedding."""
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_pooling_type(POOLINGS[spec.pooling])
    writer.add_token_type_count(2)


def bert(spec: Spec, dice: Dice) -> Iterator[Tensor]:
    """The tensors of an embedding model."""
    full = replace(spec, kv_heads=spec.heads)
    yield from embedding(spec, dice)
    yield "position_embd.weight", dice.matrix(spec.context, spec.width)
    yield "token_types.weight", dice.matrix(2, spec.width)
    yield from layer_norm("token_embd_norm", spec.width)
    for block in blocks(spec):
        yield from attention(full, dice, block)
        yield from layer_norm(f"{block}.attn_output_norm", spec.width)
        yield f"{block}.ffn_up.weight", dice.matrix(spec.ffn, spec.width)
        yield f"{block}.ffn_down.weight", dice.matrix(spec.width, spec.ffn)
        yield from layer_norm(f"{block}.layer_output_norm", spec.width)


def layer_norm(name: str, width: int) -> Iterator[Tensor]:
    """Gain and bias."""
    yield f"{name}.weight", ones(width)
    yield f"{name}.bias", zeros(width)


@dataclass(frozen=True)
class Architecture:
    """How an architecture describes itself, and its tensors."""

    describe: Callable[[gguf.GGUFWriter, Spec], None]
    tensors: Callable[[Spec, Dice], Iterator[Tensor]]


ARCHITECTURES = {
    "llama": Architecture(add_attention, llama),
    "gemma3": Architecture(add_gemma3, gemma3),
    "qwen2vl": Architecture(add_qwen2vl, llama),
    "mamba": Architecture(add_mamba, mamba),
    "lfm2": Architecture(add_lfm2, lfm2),
    "bert": Architecture(add_bert, bert),
}

# llama.cpp's operators take these as F32 only.
_ALWAYS_F32 = ("conv1d", "shortconv.conv.", "ssm_a", "ssm_d", "norm", "position_embd", "token_types", ".bias")


def quant_of(name: str, value: Array, quant: str) -> gguf.GGMLQuantizationType:
    """The wanted type, or F32 for tensors that cannot have it."""
    kind = QUANTS[quant][0]
    block = gguf.GGML_QUANT_SIZES[kind][0]
    fits = value.ndim == 2 and value.shape[-1] % block == 0
    return kind if fits and not any(part in name for part in _ALWAYS_F32) else gguf.GGMLQuantizationType.F32


def write_random_model(path: Path | str, spec: Spec) -> None:
    """Write the model to the path."""
    architecture = ARCHITECTURES[spec.arch]
    writer = gguf.GGUFWriter(path, spec.arch)
    add_general(writer, spec)
    architecture.describe(writer, spec)
    add_tokenizer(writer, spec.vocab)
    for name, value in architecture.tensors(spec, Dice(spec.seed)):
        kind = quant_of(name, value, spec.quant)
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def parse(arguments: list[str] | None = None) -> tuple[Spec, Path]:
    """The spec and the output path: a preset, changed by whatever else is given."""
    parser = argparse.ArgumentParser(description="Write a GGUF model with random weights.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS)
    choices: dict[str, Any] = {"arch": ARCHITECTURES, "quant": QUANTS, "pooling": POOLINGS}
    for field in fields(Spec):
        kind = int if isinstance(field.default, int) else str
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, choices=choices.get(field.name))
    given = vars(parser.parse_args(arguments))
    out, preset = given.pop("out"), given.pop("preset")
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(PRESETS.get(preset, Spec()), **changes), out


def main() -> None:
    """Write what the command line asks for."""
    spec, out = parse()
    write_random_model(out, spec)


if __name__ == "__main__":
    main()
