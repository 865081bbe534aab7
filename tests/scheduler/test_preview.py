"""What would be done with a model, told without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pollama.scheduler.policy import MIB, Policy
from pollama.scheduler.preview import preview
from pollama.scheduler.residency import Memory
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import MultiGpu
from pollama.types.plans import PlanPreview
from tests.scheduler.support import TIGHT, World, cpu, make_model, make_options, make_spec, wish

A = make_model("a")
BIG = make_model("big", spec=make_spec(layers=10, layer_bytes=512 * MIB))
CORES = (cpu(16, name="core0", limit=6, cores=(0,)), cpu(16, name="core1", limit=6, cores=(1,)))
REPLICAS = replace(TIGHT, multi_gpu=MultiGpu(enabled=True))
DATA = replace(TIGHT, multi_gpu=MultiGpu(enabled=True, strategy="data"))


def previewed(
    model: Model, devices: Sequence[Device], loaded: Sequence[Model] = (), policy: Policy = TIGHT
) -> PlanPreview:
    world = World(policy, devices)
    for other in loaded:
        world.leave(world.serve(wish(other))[0])
    memory = Memory(policy)
    memory.read(devices, [])
    return preview(model, make_options(), memory, world.core.replicas, policy)


def where(preview: PlanPreview) -> list[str]:
    return [plan.shares[0].device for plan in preview.plans]


def test_one_plan_without_replicas() -> None:
    found = previewed(A, CORES)
    assert (where(found), found.fits_now, found.refusal) == (["core0"], True, "")


def test_one_plan_for_each_replica_that_has_room() -> None:
    assert where(previewed(A, CORES, policy=REPLICAS)) == ["core0", "core1"]
    assert where(previewed(BIG, (*CORES, cpu(16, name="tiny", limit=0.1)), policy=DATA)) == ["core0", "core1"]


def test_what_is_loaded_is_not_counted_against_itself() -> None:
    assert where(previewed(BIG, CORES, [BIG], REPLICAS)) == ["core0", "core1"]


def test_other_models_are_left_alone_where_that_is_possible() -> None:
    assert (where(previewed(BIG, CORES, [A])), previewed(BIG, CORES, [A]).fits_now) == (["core1"], True)


def test_what_fits_only_when_others_leave_says_so() -> None:
    found = previewed(BIG, CORES[:1], [BIG, A])
    assert (where(found), found.fits_now) == (["core0"], True)
    other = make_model("other", spec=BIG.stored.spec)
    assert previewed(BIG, CORES[:1], [other]).fits_now is False


def test_a_refusal_has_the_numbers() -> None:
    huge = make_model("huge", spec=make_spec(layers=60, layer_bytes=512 * MIB))
    found = previewed(huge, CORES)
    assert found.plans == ()
    assert "core0: 6.0 of 6.0 GiB, core1: 6.0 of 6.0 GiB" in found.refusal
