"""Which layout a model gets on several devices: by predicted speed, under memory limits, on whose terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pollama.scheduler.capacity import single
from pollama.scheduler.corrections import Known
from pollama.scheduler.costs import Demand, Work, layer_engine
from pollama.scheduler.estimate import footprint
from pollama.scheduler.fitting import Space, stage_share
from pollama.scheduler.placement import Refusal, alternatives, place, place_another
from pollama.scheduler.policy import GIB, MIB, Policy
from pollama.scheduler.speeds import NO_LINKS, Links, speed_of
from pollama.types.devices import Device, Link
from pollama.types.model import Model
from pollama.types.multigpu import ModelRule, MultiGpu, Wish
from pollama.types.plans import Alternative, Plan
from tests.scheduler.support import cpu, gpu, make_model, make_options, make_spec

MODEL = make_model(
    spec=replace(
        make_spec(layers=24, layer_bytes=6 * MIB),
        parameter_count=250_000_000,
        input_bytes=16 * MIB,
        output_bytes=16 * MIB,
        embedding_length=1024,
        vocabulary_length=32_000,
    )
)
LARGE = make_model(
    "large",
    spec=replace(
        make_spec(layers=80, layer_bytes=500 * MIB),
        parameter_count=70_000_000_000,
        embedding_length=8192,
        feed_forward_length=28_672,
        vocabulary_length=128_000,
        head_count=64,
        head_count_kv=(8,) * 80,
        key_length=128,
        value_length=128,
    ),
)
MIXTURE = make_model(
    "mixture",
    spec=replace(
        make_spec(layers=24, layer_bytes=600 * MIB),
        parameter_count=25_000_000_000,
        expert_bytes=(560 * MIB,) * 24,
        expert_count=64,
        expert_used_count=4,
    ),
)


def core(index: int, *, limit: float | None = None, speed: float = 1.0, watts: float | None = None) -> Device:
    """A CPU device of one core; ``limit`` in GiB, ``speed`` relative to the others."""
    device = cpu(16, name=f"cpu:{index}", limit=limit, cores=(index,))
    return replace(device, bandwidth=8e9 * speed, compute=5e10 * speed, power_watts=watts)


def card(index: int, gib: float = 24, *, speed: float = 1.0, kind: str = "cuda", watts: float | None = None) -> Device:
    """A GPU; ``speed`` relative to the others."""
    return replace(gpu(index, gib, kind=kind), bandwidth=5e11 * speed, compute=3e13 * speed, power_watts=watts)


def spaces(devices: Sequence[Device]) -> list[Space]:
    pool = max((device.free_bytes for device in devices if not device.is_gpu), default=0)
    return [
        Space(device, min(device.free_bytes, device.capacity_bytes), pool=None if device.is_gpu else pool)
        for device in devices
    ]


def policy(**values: Any) -> Policy:
    return Policy(gpu_margin=0, host_margin=0, multi_gpu=MultiGpu(enabled=True, **values))


QUICK = make_model(spec=replace(make_spec(layers=4, layer_bytes=MIB), input_bytes=MIB, output_bytes=MIB))
"""A token takes a core about a millisecond."""


def weighed(
    devices: Sequence[Device],
    model: Model = MODEL,
    terms: Policy | None = None,
    wish: Wish | None = None,
    links: Links = NO_LINKS,
    **options: Any,
) -> list[Alternative]:
    found = alternatives(
        model,
        make_options(**options),
        spaces(devices),
        terms or policy(),
        wish=wish or Wish(),
        known=Known(links=links),
    )
    assert not isinstance(found, Refusal), found.reason
    return found


def refused(devices: Sequence[Device], model: Model, terms: Policy, wish: Wish | None = None) -> str:
    found = alternatives(model, make_options(), spaces(devices), terms, wish=wish or Wish())
    assert isinstance(found, Refusal)
    return found.reason


def where(layout: Alternative) -> list[list[str]]:
    return [holders(plan) for plan in layout.plans]


def holders(plan: Plan) -> list[str]:
    return [share.device for share in plan.shares if share.layers]


class TestAuto:
    def test_two_equal_devices_get_a_replica_each(self) -> None:
        best, *others = weighed([core(0), core(1)])
        assert (best.strategy, where(best)) == ("data", [["cpu:0"], ["cpu:1"]])
        rates = {layout.strategy: layout.tokens_per_second for layout in others}
        assert rates.keys() == {"tensor", "pipeline"}
        assert all(rate < best.tokens_per_second for rate in rates.values())

    def test_limits_that_one_device_is_too_small_for_lead_to_a_layer_split(self) -> None:
        best = weighed([core(0, limit=0.28), core(1, limit=0.28)])[0]
        assert (best.strategy, best.plans[0].split, best.plans[0].gpu_layers) == ("pipeline", "layer", 0)
        assert where(best) == [["cpu:0", "cpu:1"]]

    @pytest.mark.parametrize("profile", ["latency", "throughput"])
    def test_a_device_that_is_too_small_lends_its_cores_to_one_with_room(self, profile: Any) -> None:
        best = weighed([core(0, limit=0.05), core(1, limit=4)], wish=Wish(profile=profile))[0]
        assert (best.strategy, best.plans[0].split) == ("tensor", "tensor")
        assert {share.device: share.total_bytes > 0 for share in best.plans[0].shares} == {
            "cpu:0": False,
            "cpu:1": True,
        }

    def test_one_request_alone_is_fastest_on_all_cores(self) -> None:
        best = weighed([core(0), core(1)], wish=Wish(profile="latency"))[0]
        assert (best.strategy, best.plans[0].split) == ("tensor", "tensor")
        assert {share.layers for share in best.plans[0].shares} == {25}

    @pytest.mark.parametrize("percent", range(64, 76))
    def test_cores_are_joined_for_one_request_only_where_that_is_clearly_faster(self, percent: int) -> None:
        best, *others = weighed([core(0), core(1, speed=percent / 100)], wish=Wish(profile="latency"))
        rates = {layout.strategy: layout.tokens_per_second for layout in (best, *others)}
        assert best.strategy == ("tensor" if 0.9 * rates["tensor"] > rates["data"] else "data")
        assert (best.strategy == "tensor") == (percent > 70)

    def test_cores_are_not_joined_where_http_costs_what_they_gain(self) -> None:
        best = weighed([core(0), core(1)], QUICK, wish=Wish(profile="latency"))[0]
        assert (best.strategy, len(best.plans)) == ("data", 1)

    def test_a_core_that_is_left_for_http_makes_a_layout_faster(self) -> None:
        on_one = Wish(devices=("cpu:0",))
        alone = weighed([core(0)], QUICK, wish=on_one)[0]
        beside = weighed([core(0), core(1)], QUICK, wish=on_one)[0]
        assert where(alone) == where(beside) == [["cpu:0"]]
        assert beside.tokens_per_second > 1.01 * alone.tokens_per_second

    def test_a_device_that_is_ten_times_slower_is_left_out(self) -> None:
        best = weighed([core(0), core(1, speed=0.1)])[0]
        assert where(best) == [["cpu:0"]]
        assert "cpu:1 left out" in best.reason

    def test_a_device_of_half_the_speed_is_worth_a_replica(self) -> None:
        assert where(weighed([core(0), core(1, speed=0.5)])[0]) == [["cpu:0"], ["cpu:1"]]

    def test_the_fastest_gpu_first_whatever_its_memory(self) -> None:
        devices = [card(0, 80), card(1, speed=2), cpu(64)]
        assert weighed(devices, wish=Wish(profile="latency"))[0].plans[0].shares[0].device == "cuda-1"

    def test_no_more_gpus_than_a_split_is_fast_with(self) -> None:
        pipelines = [x for x in weighed([*(card(index) for index in range(6)), cpu(64)], LARGE) if x.plans[0].split]
        assert {len(holders(layout.plans[0])) for layout in pipelines if layout.strategy == "pipeline"} == {2}

    def test_a_slow_gpu_is_left_out_of_a_split_that_fits_without(self) -> None:
        devices = [card(0), card(1, speed=0.1), card(2), cpu(64)]
        best = weighed(devices, LARGE)[0]
        assert set(holders(best.plans[0])) == {"cuda-0", "cuda-2"}

    def test_a_slow_gpu_takes_what_the_others_have_no_room_for(self) -> None:
        best = weighed([card(0), card(1, 32, speed=0.5), cpu(8)], LARGE)[0]
        layers = {share.device: share.layers for share in best.plans[0].shares}
        assert layers["cuda-0"] > layers["cuda-1"] > 0
        assert layers["cuda-0"] + layers["cuda-1"] == 81

    def test_vendors_are_mixed_where_that_is_allowed(self) -> None:
        devices = [card(0), card(0, kind="rocm"), cpu(8)]
        assert set(holders(weighed(devices, LARGE)[0].plans[0])) == {"cuda-0", "rocm-0"}
        assert "requires more memory" in refused(devices, LARGE, policy(cross_vendor=False))

    def test_what_fits_no_gpus_is_shared_with_the_cpu(self) -> None:
        best = weighed([card(0), cpu(64)], LARGE)[0]
        layers = {share.device: share.layers for share in best.plans[0].shares}
        assert layers["cpu"] > 0
        assert layers["cuda-0"] == best.plans[0].gpu_layers > 30

    def test_a_tensor_split_over_gpus_is_shown_and_not_chosen(self) -> None:
        layouts = weighed([card(0), card(1), cpu(64)], LARGE)
        assert [layout.strategy for layout in layouts][-1] == "tensor"
        assert layouts[0].strategy == "pipeline"

    def test_an_old_neighbour_makes_a_device_slower(self) -> None:
        free = spaces([core(0), core(1)])
        plan = place(MODEL, make_options(), [replace(free[0], residents=1), free[1]], policy(strategy="data"))
        assert isinstance(plan, Plan)
        assert holders(plan) == ["cpu:1"]


class TestStrategies:
    def test_pipeline_with_a_number_of_stages(self) -> None:
        layout = weighed([core(i) for i in range(4)], terms=policy(strategy="pipeline", pipeline_size=3))[0]
        assert {len(devices) for devices in where(layout)} == {3}

    def test_a_split_over_cpu_devices_is_filled_with_two_groups_where_memory_allows(self) -> None:
        layout = weighed([core(0), core(1)], terms=policy(strategy="pipeline"))[0]
        assert [plan.groups for plan in layout.plans] == [2, 2]
        assert layout.plans[0] == layout.plans[1]

    def test_hybrid_on_four_devices_is_two_splits_of_two(self) -> None:
        layout = weighed([core(i) for i in range(4)], terms=policy(strategy="hybrid"))[0]
        assert (layout.strategy, sorted(map(len, where(layout)))) == ("hybrid", [2, 2])
        assert len({device for devices in where(layout) for device in devices}) == 4

    def test_tensor_joins_cpu_devices_even_with_limits(self) -> None:
        layout = weighed([core(0, limit=0.28), core(1, limit=0.28)], terms=policy(strategy="tensor"))[0]
        assert layout.plans[0].split == "tensor"

    def test_tensor_is_refused_for_what_llama_cpp_cannot_split(self) -> None:
        spec = LARGE.stored.spec
        assert spec is not None
        model = make_model("mamba", spec=replace(spec, architecture="mamba"))
        assert "with the strategy tensor" in refused([card(0), card(1), cpu(2)], model, policy(strategy="tensor"))

    def test_data_is_refused_with_the_numbers_where_nothing_holds_the_model(self) -> None:
        reason = refused([core(0, limit=0.28), core(1, limit=0.28)], MODEL, policy(strategy="data"))
        assert "cpu:0: 0.3 of 0.3 GiB, cpu:1: 0.3 of 0.3 GiB" in reason

    def test_memory_only_splits_in_proportion_to_memory(self) -> None:
        devices = [card(0, 16, speed=10), card(1, 32), cpu(8)]
        terms = policy(strategy="pipeline", algorithm="memory_only")
        layers = {share.device: share.layers for share in weighed(devices, LARGE, terms)[0].plans[0].shares}
        assert layers["cuda-1"] == pytest.approx(2 * layers["cuda-0"], abs=4)

    def test_no_more_replicas_than_wished(self) -> None:
        layout = weighed([core(i) for i in range(4)], terms=policy(strategy="data", replicas=3))[0]
        assert len(layout.plans) == 3

    def test_power_aware_takes_most_tokens_per_joule(self) -> None:
        devices = [core(0, watts=100), core(1, speed=0.6, watts=15)]
        assert where(weighed(devices)[0]) == [["cpu:0"], ["cpu:1"]]
        assert where(weighed(devices, terms=policy(algorithm="power_aware"))[0]) == [["cpu:1"]]


class TestTerms:
    def test_a_request_may_name_its_devices(self) -> None:
        assert where(weighed([core(0), core(1)], wish=Wish(devices=("cpu:1",)))[0]) == [["cpu:1"]]

    def test_a_device_that_does_not_exist_is_named(self) -> None:
        assert "'cpu:7'" in refused([core(0)], MODEL, policy(), Wish(devices=("cpu:7",)))

    def test_a_rule_for_the_model_before_the_settings_for_all(self) -> None:
        rule = ModelRule(strategy="pipeline", devices=("cpu:1", "cpu:2"), slots=2)
        layout = weighed([core(i) for i in range(3)], terms=policy(strategy="data", rules={"a": rule}))[0]
        assert (layout.strategy, set(where(layout)[0])) == ("pipeline", {"cpu:1", "cpu:2"})
        assert layout.plans[0].sequences == 2

    def test_a_rule_for_another_model_does_not_matter(self) -> None:
        rule = ModelRule(strategy="pipeline")
        assert weighed([core(0), core(1)], terms=policy(rules={"b": rule}))[0].strategy == "data"

    def test_a_request_before_the_rule(self) -> None:
        terms = policy(rules={"a:latest": ModelRule(strategy="pipeline", num_ctx=1000)})
        layout = weighed([core(0), core(1)], terms=terms, wish=Wish(strategy="data"), num_ctx=500)[0]
        assert (layout.strategy, layout.plans[0].context_length) == ("data", 500)

    def test_a_rule_sets_the_context_length(self) -> None:
        terms = policy(rules={"a": ModelRule(num_ctx=1000, threads=3, num_batch=64)})
        plan = weighed([core(0)], terms=terms)[0].plans[0]
        assert (plan.context_length, plan.threads, plan.batch) == (1000, 3, 64)

    def test_without_several_devices_nothing_of_it_matters(self) -> None:
        terms = Policy(multi_gpu=MultiGpu(enabled=False, strategy="pipeline", rules={"a": ModelRule(num_ctx=9)}))
        layout = weighed([core(0), core(1)], terms=terms, wish=Wish(devices=("cpu:7",)))[0]
        assert (layout.plans[0].split, layout.plans[0].tokens_per_second) == ("none", 0)
        assert layout.plans[0].context_length == 4096


class TestAnother:
    def another(self, like: Plan, devices: Sequence[Device]) -> Plan | None:
        taken = {share.device for share in like.shares}
        free = [replace(space, free=0) if space.device.id in taken else space for space in spaces(devices)]
        return place_another(MODEL, make_options(), like, free, policy())

    def test_a_replica_goes_to_a_device_of_its_own(self) -> None:
        devices = [core(0), core(1)]
        plan = self.another(weighed(devices)[0].plans[0], devices)
        assert plan is not None
        assert (holders(plan), plan.strategy) == (["cpu:1"], "data")

    def test_none_on_a_device_that_only_costs_time(self) -> None:
        devices = [core(0), core(1, speed=0.05)]
        assert self.another(weighed(devices)[0].plans[0], devices) is None

    def test_a_split_of_a_hybrid_has_as_many_stages(self) -> None:
        devices = [core(index) for index in range(5)]
        first = weighed(devices, terms=policy(strategy="hybrid"))[0].plans[0]
        plan = self.another(first, devices)
        assert plan is not None
        assert (len(holders(plan)), plan.strategy) == (2, "hybrid")

    def test_the_second_group_of_a_split_is_the_first_again(self) -> None:
        devices = [core(0), core(1)]
        first = weighed(devices, terms=policy(strategy="pipeline"))[0].plans[0]
        assert place_another(MODEL, make_options(), first, spaces(devices), policy()) == first
        assert self.another(first, devices) is None


def test_a_core_reads_and_computes_in_turn_and_a_gpu_at_the_same_time() -> None:
    seconds = [speed_of(replace(device, bandwidth=2.0, compute=4.0)).seconds(2, 8) for device in (core(0), card(0))]
    assert seconds == [3.0, 2.0]


def test_experts_that_are_not_used_are_not_read() -> None:
    dense = replace(MIXTURE, stored=replace(MIXTURE.stored, spec=replace(spec_of(MIXTURE), expert_count=0)))
    devices = [card(0, 80), cpu(64)]
    alone = Wish(profile="latency")
    assert speed(weighed(devices, MIXTURE, wish=alone)) > 5 * speed(weighed(devices, dense, wish=alone))


def test_a_slow_link_keeps_a_split_small() -> None:
    devices = [core(0), core(1), core(2)]
    wish, terms = Wish(strategy="pipeline", profile="latency"), policy()
    slow = Links([Link(first="cpu:0", second="cpu:1", kind="network", latency=0.5)])
    assert set(where(weighed(devices, wish=wish, terms=terms, links=slow)[0])[0]) != {"cpu:0", "cpu:1"}


def speed(layouts: Sequence[Alternative]) -> float:
    return layouts[0].tokens_per_second


def spec_of(model: Model) -> Any:
    return model.stored.spec


KINDS = st.sampled_from(["cpu", "cpu", "cuda", "cuda", "rocm"])
DESCRIBED = st.tuples(KINDS, st.floats(0.3, 30), st.floats(0.05, 4))
DEVICES = st.lists(DESCRIBED, min_size=1, max_size=5)
SIZES = st.floats(0.1, 40)


def house(described: Sequence[tuple[str, float, float]]) -> list[Device]:
    return [
        core(index, limit=gib, speed=factor) if kind == "cpu" else card(index, gib, speed=factor, kind=kind)
        for index, (kind, gib, factor) in enumerate(described)
    ]


def sized(gib: float) -> Model:
    return make_model(spec=make_spec(layers=20, layer_bytes=int(gib * GIB / 20)))


@settings(deadline=None)
@given(
    described=DEVICES,
    gib=SIZES,
    strategy=st.sampled_from(["auto", "auto", "data", "pipeline", "tensor", "hybrid"]),
    algorithm=st.sampled_from(["performance_aware", "power_aware", "memory_only"]),
    profile=st.sampled_from(["balanced", "latency", "throughput"]),
)
def test_every_layout_fits_and_places_every_layer_once(
    described: list[tuple[str, float, float]], gib: float, strategy: Any, algorithm: Any, profile: Any
) -> None:
    devices, terms = house(described), policy(strategy=strategy, algorithm=algorithm)
    wish = Wish(profile=profile)
    found = alternatives(sized(gib), make_options(), spaces(devices), terms, wish=wish)
    if isinstance(found, Refusal):
        return
    assert found == alternatives(sized(gib), make_options(), spaces(devices), terms, wish=wish)
    room = {space.device.id: space.free for space in spaces(devices)}
    for layout in found:
        for device, free in room.items():
            used = [share.total_bytes for plan in layout.plans for share in plan.shares if share.device == device]
            assert sum(used) <= free
        for plan in layout.plans:
            layers = [share.layers for share in plan.shares]
            assert set(layers) - {0} == {21} if plan.split == "tensor" else sum(layers) == 21
            assert strategy in {"auto", layout.strategy} or layout.strategy == "data"


def test_splits_side_by_side_do_without_memory_that_another_one_has_taken() -> None:
    """CPU devices lie in one memory: there may be nothing left of it, and of no device, for a second split."""
    terms = replace(policy(strategy="hybrid"), num_parallel=1)
    wide = [replace(space, free=2 * GIB, pool=64 * GIB) for space in spaces([core(number) for number in range(4)])]
    found = alternatives(sized(3.0), make_options(), wide, terms)
    assert not isinstance(found, Refusal)
    assert [layout.strategy for layout in found][:1] == ["hybrid"]
    taken = sum(share.total_bytes for share in found[0].plans[0].shares)
    narrow = [replace(space, pool=taken) for space in wide]
    left = alternatives(sized(3.0), make_options(), narrow, terms)
    assert isinstance(left, Refusal) or all(len(layout.plans) == 1 for layout in left)


def test_a_split_of_a_size_is_found_over_the_largest_devices_where_smaller_ones_are_faster() -> None:
    rooms = ((3.0, 1.0), (0.8, 0.9), (0.8, 0.8), (3.0, 0.7))
    devices = house([("cuda", gib, speed) for gib, speed in rooms])
    found = alternatives(sized(3.5), make_options(), spaces(devices), policy(strategy="pipeline", pipeline_size=2))
    assert not isinstance(found, Refusal)
    assert set(where(found[0])[0]) == {devices[0].id, devices[3].id}


ALIKE = st.sampled_from([["cpu"], ["cuda", "rocm"]]).flatmap(
    lambda kinds: st.lists(
        st.tuples(st.sampled_from(kinds), st.floats(0.3, 30), st.floats(0.05, 4)), min_size=2, max_size=6
    )
)


@settings(max_examples=60, deadline=None)
@given(described=ALIKE, gib=SIZES)
@example(described=[("cpu", 2.0, 1.0), ("cpu", 4.0, 1.0), ("cpu", 1.0, 2.0)], gib=2.0)
@example(described=[("cuda", 2.0, 1.0)] * 3 + [("cuda", 2.0, 0.5), ("cuda", 1.0, 1.0)], gib=2.0)
def test_one_device_more_never_makes_the_chosen_layout_noticeably_slower(
    described: list[tuple[str, float, float]], gib: float
) -> None:
    one_sequence = replace(policy(), num_parallel=1)  # how many there is memory for is another question
    fewer = alternatives(sized(gib), make_options(), spaces(house(described[:-1])), one_sequence)
    if not isinstance(fewer, Refusal) and fewer[0].strategy != "tensor":  # which is a last resort on GPUs
        more = alternatives(sized(gib), make_options(), spaces(house(described)), one_sequence)
        assert not isinstance(more, Refusal)
        assert more[0].tokens_per_second >= fewer[0].tokens_per_second * 0.98


@settings(max_examples=40, deadline=None)
@given(
    rooms=st.lists(st.floats(0.6, 2), min_size=3, max_size=3),
    speeds=st.lists(st.floats(0.2, 4), min_size=3, max_size=3),
)
def test_a_split_is_nearly_as_fast_as_the_best_of_all(rooms: list[float], speeds: list[float]) -> None:
    model = make_model(spec=make_spec(layers=16, layer_bytes=128 * MIB))
    devices = [card(index, gib, speed=factor) for index, (gib, factor) in enumerate(zip(rooms, speeds, strict=True))]
    best = best_of_all(model, devices)
    one_sequence = replace(policy(strategy="pipeline"), num_parallel=1)
    found = alternatives(model, make_options(num_ctx=64, num_batch=64), spaces([*devices, cpu(64)]), one_sequence)
    on_gpus = not isinstance(found, Refusal) and found[0].plans[0].gpu_layers == 17
    assert on_gpus == (best > 0)
    if not isinstance(found, Refusal) and on_gpus:
        assert found[0].tokens_per_second >= 0.95 * best


def best_of_all(model: Model, devices: Sequence[Device]) -> float:
    """Return the predicted speed of the best split over two devices or more, found by trying every one."""
    orders = [order for count in (2, 3) for order in permutations(devices, count)]
    return max((rate for order in orders for rate in rates(model, order)), default=0)


def rates(model: Model, order: Sequence[Device]) -> Iterator[float]:
    """Yield the predicted speed of each split over devices in this order that fits."""
    work, need = Work(model, "f16", Demand()), footprint(model, single(64, 64), "f16", flash_attention=True)
    stages = spaces(order)
    for inner in combinations(range(1, 17), len(order) - 1):
        borders = (0, *inner, 17)
        shares = [
            stage_share(need, space, begin, end, leads=begin == 0)
            for space, (begin, end) in zip(stages, pairwise(borders), strict=True)
        ]
        if all(share.total_bytes <= space.free for share, space in zip(shares, stages, strict=True)):
            yield work.rate(layer_engine(order, borders, NO_LINKS, sequences=1), 16)
