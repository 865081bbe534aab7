"""Predictions that are corrected by what really ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pollama.scheduler import events
from pollama.scheduler.corrections import Corrections
from pollama.scheduler.policy import Policy
from pollama.scheduler.preview import preview
from pollama.scheduler.state import model_key
from pollama.types.generation import RunnerStatus
from pollama.types.multigpu import MultiGpu
from pollama.types.plans import Plan, Share
from tests.scheduler.support import TIGHT, World, cpu, make_model, make_options, wish

A, B = make_model("a"), make_model("b")
CORES = (cpu(16, name="core0", cores=(0,)), cpu(16, name="core1", cores=(1,)))
SETTINGS = replace(TIGHT, num_parallel=8, multi_gpu=MultiGpu(enabled=True))


def plan_on(device: str) -> Plan:
    share = Share(device=device, layers=9, weight_bytes=1, kv_bytes=1, compute_bytes=1)
    return Plan(shares=(share,), sequences=1, context_length=1, cells=1, shared_cells=False, batch=1)


class TestCorrections:
    def test_nothing_known_changes_nothing(self) -> None:
        assert Corrections().factor(model_key(A), plan_on("core0")) == 1

    def test_twice_the_time_is_half_the_speed(self) -> None:
        corrections = Corrections()
        corrections.learn(model_key(A), plan_on("core0"), expected=3, taken=6)
        assert corrections.factor(model_key(A), plan_on("core0")) == pytest.approx(0.5)

    def test_a_layout_that_has_not_run_is_as_far_off_as_the_others_of_its_model(self) -> None:
        corrections = Corrections()
        corrections.learn(model_key(A), plan_on("core0"), expected=3, taken=6)
        assert corrections.factor(model_key(A), plan_on("core1")) == pytest.approx(0.5)
        assert corrections.factor(model_key(B), plan_on("core1")) == 1

    def test_one_odd_measurement_does_not_count_for_all(self) -> None:
        corrections = Corrections()
        for _ in range(20):
            corrections.learn(model_key(A), plan_on("core0"), expected=1, taken=1)
        corrections.learn(model_key(A), plan_on("core0"), expected=1, taken=1000)
        assert corrections.factor(model_key(A), plan_on("core0")) > 0.5


class TestScheduler:
    def previewed(self, world: World, policy: Policy = SETTINGS) -> dict[str, float]:
        memory = world.core.memory_after(events.DevicesChanged(CORES))
        found = preview(A, make_options(), memory, [], policy)
        return {layout.strategy: layout.tokens_per_second for layout in found.alternatives}

    def test_all_layouts_of_a_model_follow_the_one_that_ran(self) -> None:
        world = World(SETTINGS, CORES)
        _, replica = world.serve(wish(A))
        before = self.previewed(world)
        world.send(events.Timed({replica: RunnerStatus(state="ready", steps=10, decoded_tokens=80, busy_seconds=100)}))
        after = self.previewed(world)
        assert list(after) == list(before)
        assert all(after[strategy] < before[strategy] / 2 for strategy in before)

    def test_corrections_can_be_turned_off_and_on(self) -> None:
        world = World(SETTINGS, CORES)
        _, replica = world.serve(wish(A))
        before = self.previewed(world)
        world.send(events.Timed({replica: RunnerStatus(state="ready", steps=10, decoded_tokens=80, busy_seconds=100)}))
        off = replace(SETTINGS, multi_gpu=MultiGpu(enabled=True, corrections=False))
        assert self.previewed(world, off) == before
        assert self.previewed(world) != before

    def test_too_little_to_tell_changes_nothing(self) -> None:
        world = World(SETTINGS, CORES)
        _, replica = world.serve(wish(A))
        before = self.previewed(world)
        world.send(events.Timed({replica: RunnerStatus(state="ready", steps=10, decoded_tokens=80, busy_seconds=1)}))
        world.send(
            events.Timed({replica: RunnerStatus(state="ready", busy_seconds=9), 77: RunnerStatus(state="ready")})
        )
        assert self.previewed(world) == before
