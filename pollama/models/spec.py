"""From a GGUF header to the facts of a model that placement and estimates need."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from gguf.constants import LlamaFileType

from pollama.errors import WeightsError
from pollama.models.gguf import Header, SkippedArray, Tensor
from pollama.types.model import ModelSpec

UNKNOWN_FILE_TYPE: Final = "unknown"

_FILE_TYPES: Final = {
    kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
    for kind in LlamaFileType
    if kind is not LlamaFileType.GUESSED
}
_MAX_BLOCKS: Final = 1 << 16
_BLOCK: Final = re.compile(r"(?:enc\.|dec\.)?blk\.(\d{1,6})\.(.+)")
_INPUTS: Final = ("token_embd", "per_layer_token_embd", "position_embd", "token_types", "v.", "a.", "mm.")
"""Beginnings of the names of tensors in front of the first block; image and sound encoders are among them."""
_ATTENTION: Final = ("attn_k.", "attn_kv_a_mqa.", "attn_kv_b.", "attn_qkv.")
_EXPERTS: Final = re.compile(r"ffn_[a-z_]+_exps\..+")
"""Names of tensors that hold all routed experts of a block."""
_STATE: Final = ("ssm_", "time_mix_", "shortconv.")
"""Beginnings of the names of tensors of blocks that keep a recurrent state."""
_NOMIC: Final = ("nomic-bert", "nomic-bert-moe")
_STATE_KEYS: Final = ("ssm.state_size", "ssm.inner_size", "wkv.head_size", "shortconv.l_cache")


def file_type_name(number: int | None) -> str:
    """Return the quantisation that ``general.file_type`` stands for, ``unknown`` when it stands for nothing."""
    return _FILE_TYPES.get(number, UNKNOWN_FILE_TYPE) if number is not None else UNKNOWN_FILE_TYPE


def model_spec(header: Header) -> ModelSpec:
    """Return the facts of one model. Raises WeightsError where the header contradicts itself."""
    groups = _group(header)
    own = _Own(header)
    head_count = max(own.per_layer("attention.head_count", 0))
    embedding_length = own.integer("embedding_length")
    head_size = embedding_length // head_count if head_count else 0
    return ModelSpec(
        architecture=header.architecture,
        parameter_count=header.parameter_count,
        file_type=file_type_name(header.integer("general.file_type")),
        file_bytes=header.file_size,
        layer_bytes=tuple(groups.blocks),
        input_bytes=groups.inputs,
        output_bytes=groups.outputs,
        context_length=own.integer("context_length"),
        embedding_length=embedding_length,
        feed_forward_length=max(own.per_layer("feed_forward_length", 0)),
        vocabulary_length=_vocabulary_length(header),
        head_count=head_count,
        head_count_kv=_head_count_kv(own, groups, head_count),
        key_length=own.integer("attention.key_length", head_size),
        value_length=own.integer("attention.value_length", head_size),
        sliding_window=own.integer("attention.sliding_window"),
        recurrent=any(header.own(key) in header.values for key in _STATE_KEYS),
        expert_count=own.integer("expert_count"),
        expert_used_count=own.integer("expert_used_count"),
        expert_bytes=tuple(groups.experts) if any(groups.experts) else (),
        pooling_type=header.integer(header.own("pooling_type")),
        has_vision=header.own("vision.block_count") in header.values,
        has_audio=header.own("audio.block_count") in header.values,
        chat_template=header.text("tokenizer.chat_template"),
        raw_embeddings=_has_raw_embeddings(header),
    )


@dataclass(slots=True)
class _Groups:
    """Bytes of the tensors before, in and behind the blocks, of the experts in them, and the names of the tensors."""

    blocks: list[int]
    experts: list[int]
    inputs: int = 0
    outputs: int = 0
    names: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, tensor: Tensor) -> None:
        match = _BLOCK.fullmatch(tensor.name)
        if match is not None and int(match[1]) < len(self.blocks):
            self.blocks[int(match[1])] += tensor.size
            self.experts[int(match[1])] += tensor.size if _EXPERTS.fullmatch(match[2]) else 0
            self.names[int(match[1])].append(match[2])
        elif tensor.name.startswith(_INPUTS):
            self.inputs += tensor.size
        else:
            self.outputs += tensor.size

    def has_attention(self, block: int) -> bool:
        """Whether a block caches keys and values; taken to be so where its tensors are in another file."""
        names = self.names.get(block)
        if not names or any(name.startswith(_ATTENTION[:-1]) for name in names):
            return True
        return any(name.startswith(_ATTENTION[-1]) for name in names) and not any(n.startswith(_STATE) for n in names)


def _group(header: Header) -> _Groups:
    block_count = header.integer(header.own("block_count")) or 0
    if block_count > _MAX_BLOCKS:
        raise WeightsError(f"{header.path}: {header.own('block_count')} is {block_count}")
    groups = _Groups([0] * block_count, [0] * block_count)
    for tensor in header.tensors:
        groups.add(tensor)
    return groups


@dataclass(frozen=True, slots=True)
class _Own:
    """The values that a header has under its own architecture's name."""

    header: Header

    def integer(self, key: str, default: int = 0) -> int:
        value = self.header.integer(self.header.own(key))
        return default if value is None else value

    def per_layer(self, key: str, default: int) -> list[int]:
        """Return a value that may be one for all blocks or an array with one for each."""
        name = self.header.own(key)
        value = self.header.values.get(name)
        if not isinstance(value, list):
            return [self.integer(key, default)]
        counts = [item for item in value if isinstance(item, int) and item >= 0]
        if not counts or len(counts) != len(value):
            raise WeightsError(f"{self.header.path}: {name} must hold whole numbers that are not negative")
        return counts


def _head_count_kv(own: _Own, groups: _Groups, head_count: int) -> tuple[int, ...]:
    layers = len(groups.blocks)
    counts = own.per_layer("attention.head_count_kv", head_count)
    if len(counts) == 1:
        counts *= layers
    if len(counts) < layers:
        raise WeightsError(f"{own.header.path}: attention.head_count_kv has {len(counts)} values for {layers} blocks")
    cached = layers - own.integer("attention.shared_kv_layers")
    return tuple(counts[i] if i < cached and groups.has_attention(i) else 0 for i in range(layers))


def _has_raw_embeddings(header: Header) -> bool:
    """Tell the early conversions of BERT's family, whose vectors Ollama asks for as they are, from all others."""
    normalizes = header.flag(header.own("normalize_embeddings"))
    if header.architecture == "bert":
        return normalizes is False or header.text("tokenizer.ggml.model") != "bert"
    return header.architecture in _NOMIC and not normalizes


def _vocabulary_length(header: Header) -> int:
    tokens = header.values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, SkippedArray):
        return tokens.length
    if isinstance(tokens, list):
        return len(tokens)
    return header.integer(header.own("vocab_size")) or 0
