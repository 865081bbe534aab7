"""The GGUF reader: what it reads, and that no file makes it crash, hang or allocate without measure."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pollama.errors import WeightsError
from pollama.models.gguf import SkippedArray, read_header
from pollama.models.spec import model_spec
from tests.models.fixtures import LLAMA_KEYS, LLAMA_TENSORS, raw_gguf, text, write_gguf

U32, F32, ARRAY, TEXT = 4, 6, 9, 8


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_values_and_tensors(weights: Path) -> None:
    header = read_header(weights)
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.values["llama.attention.layer_norm_rms_epsilon"] == 1e-5
    assert header.values["tokenizer.ggml.tokens"] == SkippedArray(3)
    assert header.values["tokenizer.ggml.scores"] == [0.5, 0.25, 0.1]
    assert [(tensor.name, tensor.type, tensor.shape) for tensor in header.tensors] == [
        (name, "F32", tuple(reversed(shape))) for name, shape in LLAMA_TENSORS.items()
    ]
    assert header.parameter_count == 3 * 64 * 2 + 32 * 64 * 2


def test_arrays_on_demand(weights: Path) -> None:
    assert read_header(weights, arrays=True).values["tokenizer.ggml.tokens"] == ["a", "b", "é"]


def test_texts_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    tokens = [f"{number:x}" * 20_000 for number in range(100)]
    path = write_gguf(tmp_path / "t.gguf", "x", {"tokens": tokens, "after": 7}, {})
    assert read_header(path).values == {
        "general.architecture": "x",
        "tokens": SkippedArray(100),
        "after": 7,
    }
    assert read_header(path, arrays=True).values["tokens"] == tokens


def test_version_2_and_tensors_beyond_4_gib(tmp_path: Path) -> None:
    offset = 5 << 30
    data = raw_gguf(version=2, tensors=1, body=tensor("t", (8,), offset=offset))
    path = put(tmp_path / "t.gguf", data)
    with path.open("r+b") as file:
        file.truncate(64 + offset + 32)  # sparse
    [found] = read_header(path).tensors
    assert (found.offset, found.size) == (offset, 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a GGUF file"),
        (b"GG", "not a GGUF file"),
        (b"nope" * 10, "not a GGUF file"),
        (b"FUGG" * 10, "big-endian GGUF is not supported"),
        (raw_gguf(version=3 << 24), "big-endian GGUF is not supported"),
        (raw_gguf(version=1), "GGUF version 1 is not supported"),
        (b"GGUF\x03\x00", "the file ends within version"),
        (raw_gguf(keys=1 << 60), "keys: 1152921504606846976 entries cannot be in a file of 24 bytes"),
        (raw_gguf(tensors=1 << 40), "tensors: 1099511627776 entries cannot be"),
        (raw_gguf(keys=1, body=struct.pack("<Q", 1 << 63) + b"x" * 20), "key is 9223372036854775808 bytes long"),
        (raw_gguf(keys=1, body=entry("k", 99, b"12345678")), "k has the unknown type 99"),
        (raw_gguf(keys=1, body=entry("k", ARRAY, struct.pack("<IQ", 99, 1) + b"x")), "array of the unknown type 99"),
        (raw_gguf(keys=1, body=entry("k", ARRAY, struct.pack("<IQ", 9, 1) + b"x")), "array of the unsupported type 9"),
        (raw_gguf(keys=1, body=entry("k", ARRAY, struct.pack("<IQ", 0, 1 << 62))), "k: 4611686018427387904 entries"),
        (raw_gguf(keys=1, body=entry("k", ARRAY, struct.pack("<IQQ", 8, 1, 1 << 62))), "the file ends within k"),
        (raw_gguf(keys=1, body=entry("k", TEXT, struct.pack("<Q", 50) + b"x")), "the file ends within k"),
        (raw_gguf(keys=2, body=entry("k", U32, b"1234") * 2), "key k is there twice"),
        (raw_gguf(keys=1, body=entry("general.alignment", U32, bytes(4))), "general.alignment is 0"),
        (raw_gguf(tensors=1, body=text("t") + struct.pack("<I", 9) + bytes(99)), "tensor t has 9 dimensions"),
        (raw_gguf(tensors=1, body=tensor("t", (1 << 62, 4))), "tensor t has the impossible shape"),
        (raw_gguf(tensors=1, body=tensor("t", (32,), kind=5)), "tensor t has the unknown type 5"),
        (raw_gguf(tensors=1, body=tensor("t", (31,), kind=2)), "rows of 31 elements are no multiple of the 32 of Q4_0"),
        (raw_gguf(tensors=2, body=tensor("t", (0,)) * 2 + bytes(64)), "tensor t is there twice"),
        (
            raw_gguf(tensors=1, body=tensor("t", (1024,)) + bytes(64)),
            "tensor t ends at byte 4160, the file at byte 121",
        ),
    ],
)
def test_damaged_files_are_named_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = put(tmp_path / "bad.gguf", data)
    with pytest.raises(WeightsError) as caught:
        read_header(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


def test_every_truncation_is_noticed(tmp_path: Path, weights: Path) -> None:
    whole = weights.read_bytes()
    end = read_header(weights).data_offset
    for length in [*range(0, end, 7), len(whole) - 1]:
        with pytest.raises(WeightsError):
            read_header(put(tmp_path / "cut.gguf", whole[:length]))


def test_a_folder_is_no_gguf(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        read_header(tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_never_crash_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(write_gguf(tmp_path / "whole.gguf").read_bytes())
    for position in data.draw(st.lists(st.integers(4, 900), min_size=1, max_size=6)):
        whole[position] = data.draw(st.integers(0, 255))
    _read_or_refuse(put(tmp_path / "flipped.gguf", bytes(whole)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.integers(0, 5) | st.integers(0, (1 << 64) - 1),
    tensors=st.integers(0, 3) | st.integers(0, (1 << 64) - 1),
    body=st.lists(
        st.binary(max_size=40)
        | st.text(max_size=8).map(text)
        | st.integers(0, 13).map(lambda kind: struct.pack("<I", kind))
        | st.integers(0, 3).map(lambda count: struct.pack("<Q", count)),
        max_size=30,
    ).map(b"".join),
)
def test_made_up_headers_never_crash_the_reader(tmp_path: Path, keys: int, tensors: int, body: bytes) -> None:
    _read_or_refuse(put(tmp_path / "made-up.gguf", raw_gguf(keys=keys, tensors=tensors, body=body)))


def _read_or_refuse(path: Path) -> None:
    for arrays in (False, True):
        with contextlib.suppress(WeightsError):
            model_spec(read_header(path, arrays=arrays))


def test_facts_of_a_model(weights: Path) -> None:
    spec = model_spec(read_header(weights))
    assert (spec.architecture, spec.parameter_count, spec.file_type) == ("llama", 4480, "F16")
    assert (spec.layer_bytes, spec.input_bytes, spec.output_bytes) == ((8192, 8192), 768, 768)
    assert spec.weight_bytes == sum(tensor.size for tensor in read_header(weights).tensors)
    assert (spec.context_length, spec.embedding_length, spec.vocabulary_length) == (128, 64, 3)
    assert (spec.head_count, spec.head_count_kv, spec.key_length) == (4, (2, 2), 16)
    assert not spec.recurrent


def test_blocks_without_attention_keep_no_keys(tmp_path: Path) -> None:
    tensors = {"blk.0.ssm_in.weight": (2, 32), "blk.1.attn_k.weight": (2, 32), "blk.2.ssm_in.weight": (2, 32)}
    keys = {"jamba.block_count": 3, "jamba.attention.head_count": 8, "jamba.ssm.state_size": 16}
    spec = model_spec(read_header(write_gguf(tmp_path / "h.gguf", "jamba", keys, tensors)))
    assert spec.head_count_kv == (0, 8, 0)
    assert spec.recurrent


def test_head_counts_of_each_block(tmp_path: Path) -> None:
    keys = {"x.block_count": 3, "x.attention.head_count": [8, 4, 4], "x.attention.head_count_kv": [1, 0, 2]}
    spec = model_spec(read_header(write_gguf(tmp_path / "h.gguf", "x", keys, {})))
    assert (spec.head_count, spec.head_count_kv) == (8, (1, 0, 2))


def test_image_encoders_and_pooling(tmp_path: Path) -> None:
    keys = {"x.vision.block_count": 2, "x.audio.block_count": 2, "x.pooling_type": 0}
    spec = model_spec(read_header(write_gguf(tmp_path / "v.gguf", "x", keys, {"v.blk.0.x": (2, 32), "mm.0": (2, 32)})))
    assert (spec.has_vision, spec.has_audio, spec.pooling_type) == (True, True, 0)
    assert spec.input_bytes == spec.weight_bytes == 512


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "normalizes", "raw"),
    [
        ("bert", "bert", None, False),
        ("bert", "bert", True, False),
        ("bert", "bert", False, True),
        ("bert", "llama", True, True),
        ("nomic-bert", "bert", True, False),
        ("nomic-bert", "bert", None, True),
        ("nomic-bert-moe", "bert", False, True),
        ("llama", "llama", False, False),
    ],
)
def test_early_conversions_of_berts_family_have_raw_embeddings(
    tmp_path: Path, *, architecture: str, tokenizer: str, normalizes: bool | None, raw: bool
) -> None:
    keys: dict[str, object] = {f"{architecture}.block_count": 1, "tokenizer.ggml.model": tokenizer}
    if normalizes is not None:
        keys[f"{architecture}.normalize_embeddings"] = normalizes
    header = read_header(write_gguf(tmp_path / "e.gguf", architecture, keys, {}))
    assert model_spec(header).raw_embeddings == raw


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"llama.block_count": 1 << 20}, "llama.block_count is 1048576"),
        ({"llama.block_count": "two"}, "llama.block_count must be a whole number"),
        ({"llama.attention.head_count_kv": [1, 2, 3], "llama.block_count": 4}, "has 3 values for 4 blocks"),
        ({"llama.attention.head_count": [0.5]}, "llama.attention.head_count must hold whole numbers"),
        ({"tokenizer.chat_template": 5}, "tokenizer.chat_template must be a text"),
    ],
)
def test_contradictions_name_the_key(tmp_path: Path, keys: dict[str, object], reason: str) -> None:
    header = read_header(write_gguf(tmp_path / "c.gguf", keys={**LLAMA_KEYS, **keys}))
    with pytest.raises(WeightsError) as caught:
        model_spec(header)
    assert reason in str(caught.value)
