"""Context length, batch size and number of sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pollama.scheduler.capacity import automatic_batch, batch_size, context_lengths, shapes, single
from pollama.scheduler.estimate import CacheShape
from pollama.scheduler.policy import GIB, MIB, Policy
from pollama.types.devices import Device
from tests.scheduler.support import cpu, gpu, make_model, make_options, make_spec

MODEL = make_model(spec=make_spec(context_length=500_000))


class TestContext:
    @pytest.mark.parametrize(
        ("devices", "expected"),
        [
            ([cpu(512)], [4096]),
            ([gpu(0, 22), cpu()], [4096]),
            ([gpu(0, 23), cpu()], [32768, 4096]),
            ([gpu(0, 12), gpu(1, 12)], [32768, 4096]),
            ([gpu(0, 47)], [262144, 32768, 4096]),
        ],
    )
    def test_automatic_length_goes_by_gpu_memory(self, devices: list[Device], expected: list[int]) -> None:
        assert context_lengths(MODEL, make_options(), Policy(), devices) == expected

    def test_overhead_counts_against_the_tier(self) -> None:
        assert context_lengths(MODEL, make_options(), Policy(gpu_overhead=GIB), [gpu(0, 23)]) == [4096]

    def test_configured_default_wins_over_the_tier_and_may_shrink(self) -> None:
        assert context_lengths(MODEL, make_options(), Policy(num_ctx=8192), [gpu(0, 80)]) == [8192, 4096]

    @pytest.mark.parametrize(
        ("num_ctx", "capabilities", "trained", "expected"),
        [
            (8192, ("completion",), 4096, 4096),
            (8192, ("completion",), 0, 8192),
            (1, ("completion",), 4096, 4),
            (0, ("completion",), 4096, 4),
            (-5, ("completion",), 4096, 4),
            (512, ("completion", "vision"), 4096, 2048),
            (512, ("completion", "vision"), 1024, 1024),
        ],
    )
    def test_chosen_length_is_kept_within_floor_and_training(
        self, num_ctx: int, capabilities: tuple[str, ...], trained: int, expected: int
    ) -> None:
        model = make_model(spec=make_spec(context_length=trained), capabilities=capabilities)
        assert context_lengths(model, make_options(num_ctx=num_ctx), Policy(), [cpu()]) == [expected]


class TestBatch:
    @pytest.mark.parametrize(
        ("context", "predicted", "available", "expected"),
        [
            (4096, 8 * GIB, 80 * GIB, 512),
            (32768, 8 * GIB, None, 1024),
            (131072, 8 * GIB, None, 2048),
            (131072, 8 * GIB, 14 * GIB, 2048),
            (131072, 9 * GIB, 14 * GIB, 1024),
            (131072, 8 * GIB, 11 * GIB, 1024),
            (32768, 8500 * MIB, 11 * GIB, 512),
        ],
    )
    def test_automatic(self, context: int, predicted: int, available: int | None, expected: int) -> None:
        assert automatic_batch(context, predicted, available) == expected

    @pytest.mark.parametrize(("context", "gib", "expected"), [(8192, 14, 512), (8192, 6, 256), (4096, 6, 512)])
    def test_small_where_scores_are_kept_and_memory_is_short(self, context: int, gib: int, expected: int) -> None:
        batch = batch_size(MODEL, make_options(), context, predicted=GIB, available=gib * GIB, scores_kept=True)
        assert batch == expected

    @pytest.mark.parametrize(
        ("options", "context", "expected"),
        [({}, 8192, 2048), ({}, 512, 512), ({"num_batch": 100}, 512, 100), ({"num_batch": 9000}, 512, 512)],
    )
    def test_embedding_models_take_up_to_a_context(self, options: dict[str, Any], context: int, expected: int) -> None:
        model = make_model(capabilities=("embedding",))
        batch = batch_size(model, make_options(**options), context, predicted=0, available=None, scores_kept=False)
        assert batch == expected

    @pytest.mark.parametrize(("chosen", "expected"), [(64, 64), (9000, 9000), (-1, 2), (1, 2), (10**9, 131072)])
    def test_chosen_size_is_obeyed_within_reason(self, chosen: int, expected: int) -> None:
        options = make_options(num_batch=chosen)
        batch = batch_size(MODEL, options, 131072, predicted=0, available=80 * GIB, scores_kept=False)
        assert batch == expected


class TestSequences:
    base = single(4096, 512)

    def first(
        self,
        policy: Policy | None = None,
        *,
        base: CacheShape | None = None,
        headroom: int = 0,
        sequence_bytes: int = 128 * MIB,
        weight_bytes: int = GIB,
        generating: bool = True,
    ) -> CacheShape:
        offered = shapes(
            base or self.base,
            policy or Policy(),
            generating=generating,
            headroom=headroom,
            sequence_bytes=sequence_bytes,
            weight_bytes=weight_bytes,
        )
        return next(offered)

    def test_plenty_of_memory_gives_every_sequence_its_own_cells(self) -> None:
        shape = self.first(headroom=100 * GIB, weight_bytes=8 * GIB)
        assert (shape.sequences, shape.shared_cells, shape.cells) == (16, False, 16 * 4096)

    def test_further_sequences_cost_at_most_a_quarter_of_what_is_free(self) -> None:
        shape = self.first(headroom=4 * GIB, weight_bytes=8 * GIB)
        assert (shape.sequences, shape.shared_cells) == (9, False)

    def test_small_model_does_not_take_gigabytes_for_its_cache(self) -> None:
        shape = self.first(headroom=20 * GIB, weight_bytes=256 * MIB)
        further = (shape.cells - 4096) * 128 * MIB // 4096
        assert further <= 512 * MIB
        assert shape.sequences > 4

    def test_little_memory_is_shared(self) -> None:
        shape = self.first(headroom=GIB)
        assert shape.shared_cells
        assert shape.cells == 3 * 4096
        assert shape.sequences == 16

    def test_no_memory_at_all_still_serves_several_from_one_context(self) -> None:
        shape = self.first()
        assert (shape.sequences, shape.shared_cells, shape.cells) == (8, True, 4096)

    def test_a_tiny_context_is_not_shared(self) -> None:
        assert self.first(base=single(256, 512)) == single(256, 512)

    @pytest.mark.parametrize("parallel", [1, 2, 5, 30])
    def test_chosen_number_is_obeyed_and_shares_only_where_it_must(self, parallel: int) -> None:
        offered = list(
            shapes(
                self.base,
                Policy(num_parallel=parallel),
                generating=True,
                headroom=0,
                sequence_bytes=128 * MIB,
                weight_bytes=GIB,
            )
        )
        assert {shape.sequences for shape in offered[:-1]} == {parallel}
        assert offered[0].cells == parallel * 4096
        assert not offered[0].shared_cells
        assert offered[-2].cells == 4096
        cells = [shape.cells for shape in offered]
        assert cells == sorted(cells, reverse=True)

    def test_no_more_sequences_than_rows_in_a_batch(self) -> None:
        small = replace(self.base, batch=3)
        assert self.first(base=small, headroom=100 * GIB).sequences == 3
        assert self.first(Policy(num_parallel=8), base=small).sequences == 3

    def test_embedding_models_have_one(self) -> None:
        assert self.first(Policy(num_parallel=8), generating=False, headroom=100 * GIB) == self.base
