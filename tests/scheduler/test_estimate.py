"""Estimated bytes against llama.cpp's allocation rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pollama.scheduler.capacity import single
from pollama.scheduler.estimate import CacheShape, compute_bytes, footprint, generates, kv_bytes
from pollama.scheduler.policy import MIB
from tests.scheduler.support import make_model, make_spec

SPEC = make_spec(layers=4)
ONE = single(4096, 512)


def streams(sequences: int, context: int = 4096, batch: int = 512) -> CacheShape:
    return CacheShape(
        context_length=context, sequences=sequences, shared_cells=False, cells=context * sequences, batch=batch
    )


def shared(sequences: int, cells: int, context: int = 4096, batch: int = 512) -> CacheShape:
    return CacheShape(context_length=context, sequences=sequences, shared_cells=True, cells=cells, batch=batch)


@pytest.mark.parametrize(
    ("kv_type", "bytes_per_cell"),
    [("f32", 4096), ("f16", 2048), ("bf16", 2048), ("q8_0", 1088), ("q5_1", 768), ("q4_0", 576), ("iq4_nl", 576)],
)
def test_a_cell_is_a_row_of_keys_and_one_of_values(kv_type: str, bytes_per_cell: int) -> None:
    """Eight heads of 64 + 64 elements; quantised types store 32 elements with their scales per block."""
    assert kv_bytes(SPEC, ONE, kv_type) == (4096 * bytes_per_cell,) * 4


def test_kv_of_llama_3_8b_at_8192_tokens_is_one_gib() -> None:
    spec = replace(make_spec(layers=32), head_count_kv=(8,) * 32, key_length=128, value_length=128)
    assert sum(kv_bytes(spec, single(8192, 512), "f16")) == 1024 * MIB


def test_cells_are_rounded_up_per_stream() -> None:
    assert kv_bytes(SPEC, single(257, 512), "f16")[0] == 512 * 2048
    assert kv_bytes(SPEC, streams(3, context=257), "f16")[0] == 3 * 512 * 2048
    assert kv_bytes(SPEC, shared(3, 771, context=257), "f16")[0] == 1024 * 2048


def test_blocks_without_attention_keep_a_state_per_sequence_instead_of_cells() -> None:
    spec = replace(make_spec(layers=4, recurrent=True), head_count_kv=(0, 0, 0, 8))
    short, long = kv_bytes(spec, single(256, 512), "f16"), kv_bytes(spec, single(4096, 512), "f16")
    assert short[:3] == long[:3]
    assert short[3] < long[3]
    assert kv_bytes(spec, streams(4), "f16")[0] == 4 * short[0]


def test_plain_blocks_without_attention_keep_nothing() -> None:
    spec = replace(SPEC, head_count_kv=(8, 0, 8, 8))
    assert kv_bytes(spec, ONE, "f16")[1] == 0


class TestSlidingWindow:
    spec = replace(make_spec(layers=12), architecture="gemma3", sliding_window=1024)

    def test_every_sixth_block_of_gemma3_sees_everything(self) -> None:
        sizes = kv_bytes(self.spec, single(32768, 512), "f16")
        assert [size == 32768 * 2048 for size in sizes] == [False] * 5 + [True] + [False] * 5 + [True]

    def test_a_sliding_block_keeps_its_window_and_a_batch(self) -> None:
        assert kv_bytes(self.spec, single(32768, 512), "f16")[0] == (1024 + 512) * 2048
        assert kv_bytes(self.spec, streams(4, context=32768), "f16")[0] == 4 * (1024 + 512) * 2048
        assert kv_bytes(self.spec, shared(4, 65536, context=32768), "f16")[0] == (4 * 1024 + 512) * 2048

    def test_never_more_than_the_context(self) -> None:
        assert kv_bytes(self.spec, single(512, 512), "f16")[0] == 512 * 2048

    def test_an_unknown_pattern_counts_as_full(self) -> None:
        spec = replace(self.spec, architecture="novel")
        assert set(kv_bytes(spec, single(32768, 512), "f16")) == {32768 * 2048}


def test_scores_are_kept_without_flash_attention() -> None:
    with_flash = compute_bytes(SPEC, ONE, flash_attention=True)
    without = compute_bytes(SPEC, ONE, flash_attention=False)
    assert without - with_flash == 4 * 512 * 4096 * SPEC.head_count


def test_compute_buffers_grow_with_batch_and_visible_cells() -> None:
    sizes = [
        compute_bytes(SPEC, shape, flash_attention=True)
        for shape in (single(4096, 512), single(8192, 512), shared(4, 16384), single(16384, 2048))
    ]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


def test_footprint_adds_up_and_counts_projectors_and_adapters() -> None:
    model = make_model(spec=SPEC)
    plain = footprint(model, ONE, "f16", flash_attention=True)
    stored = replace(model.stored, size=model.stored.size + 300 * MIB)
    dressed = footprint(replace(model, stored=stored), ONE, "f16", flash_attention=True)
    assert dressed.total - plain.total == 300 * MIB
    assert sum(plain.weights) + plain.embedding == SPEC.weight_bytes
    assert plain.logits == 2 * SPEC.vocabulary_length * 4


def test_tied_output_is_copied_to_a_gpu_only() -> None:
    tied = footprint(make_model(spec=replace(SPEC, output_bytes=2048)), ONE, "f16", flash_attention=True)
    assert tied.output_copy == SPEC.input_bytes
    assert tied.total == sum(tied.weights) + sum(tied.kv) + tied.compute + tied.logits + tied.embedding
    assert footprint(make_model(spec=SPEC), ONE, "f16", flash_attention=True).output_copy == 0


def test_encoders_keep_no_cache() -> None:
    assert set(kv_bytes(replace(SPEC, architecture="nomic-bert"), ONE, "f16")) == {0}


def test_model_that_only_embeds_has_no_logits() -> None:
    model = make_model(spec=SPEC, capabilities=("embedding",))
    assert not generates(model)
    assert footprint(model, ONE, "f16", flash_attention=True).logits == 0
