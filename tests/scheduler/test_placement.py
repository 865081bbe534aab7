"""Which devices a model goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.scheduler.fitting import Space
from pollama.scheduler.loading import load_spec, maps_weights
from pollama.scheduler.placement import Refusal, place
from pollama.scheduler.policy import GIB, Policy
from pollama.types.devices import Device
from pollama.types.model import Model
from pollama.types.multigpu import MultiGpu
from pollama.types.plans import Plan, Stage
from tests.scheduler.support import cpu, gpu, make_model, make_options, make_spec

ONE = Policy(num_parallel=1)


def sized(gib: float, layers: int = 20) -> Model:
    """A model with about ``gib`` GiB of blocks."""
    return make_model(spec=make_spec(layers=layers, layer_bytes=int(gib * GIB / layers)))


def spaces(devices: Sequence[Device]) -> list[Space]:
    return [Space(device, device.free_bytes) for device in devices]


def planned(model: Model, devices: Sequence[Device], policy: Policy = ONE, **options: Any) -> Plan:
    plan = place(model, make_options(**options), spaces(devices), policy)
    assert isinstance(plan, Plan), plan
    return plan


def layers(plan: Plan) -> dict[str, int]:
    return {share.device: share.layers for share in plan.shares if share.layers}


class TestChoice:
    def test_one_gpu_with_most_free_memory(self) -> None:
        assert layers(planned(sized(4), [gpu(0, 10), gpu(1, 20), cpu()])) == {"cuda-1": 21}

    def test_all_gpus_of_a_kind_when_they_shall_be_spread(self) -> None:
        plan = planned(sized(4), [gpu(0, 10), gpu(1, 20), cpu()], replace(ONE, spread=True))
        assert layers(plan).keys() == {"cuda-0", "cuda-1"}
        assert plan.split == "layer"

    def test_split_stays_inside_one_kind(self) -> None:
        devices = [gpu(0, 10), gpu(1, 18), gpu(0, 12, kind="rocm"), cpu()]
        plan = planned(sized(20), devices)
        assert layers(plan).keys() == {"cuda-0", "cuda-1"}
        assert plan.gpu_layers == 21

    def test_split_is_in_proportion_to_free_memory(self) -> None:
        counts = layers(planned(sized(18, layers=60), [gpu(0, 8), gpu(1, 16), cpu()]))
        assert counts["cuda-1"] == pytest.approx(2 * counts["cuda-0"], abs=4)
        assert sum(counts.values()) == 61

    def test_discrete_before_integrated(self) -> None:
        devices = [gpu(0, 32, integrated=True), gpu(1, 10), cpu()]
        assert layers(planned(sized(4), devices)) == {"cuda-1": 21}

    def test_what_does_not_fit_on_the_gpus_goes_to_the_cpu_first_blocks_first(self) -> None:
        plan = planned(sized(12), [gpu(0, 8), cpu(16)])
        counts = layers(plan)
        assert counts["cuda-0"] == plan.gpu_layers
        assert counts["cuda-0"] + counts["cpu"] == 21
        assert 8 <= plan.gpu_layers <= 13

    def test_as_many_blocks_as_fit_on_the_gpu(self) -> None:
        plan = planned(sized(12), [gpu(0, 8), cpu(16)])
        share = next(share for share in plan.shares if share.device == "cuda-0")
        another = int(12 * GIB / 20) + 4096 * 2048
        assert share.total_bytes + another > 8 * GIB

    def test_cpu_when_no_block_fits_on_a_gpu(self) -> None:
        assert layers(planned(sized(12), [gpu(0, 8, free=0.05), cpu(16)])) == {"cpu": 21}

    def test_cpu_with_most_free_memory(self) -> None:
        plan = planned(sized(4), [cpu(8, name="node0"), cpu(12, name="node1")])
        assert layers(plan) == {"node1": 21}

    def test_embedding_stays_in_the_memory_of_the_machine(self) -> None:
        model = sized(4)
        plan = planned(model, [gpu(0, 10), cpu()])
        host = next(share for share in plan.shares if share.device == "cpu")
        assert model.stored.spec is not None
        assert (host.layers, host.total_bytes) == (0, model.stored.spec.input_bytes)


class TestOptions:
    def test_num_gpu_zero_means_the_cpu(self) -> None:
        plan = planned(sized(4), [gpu(0, 80), cpu()], num_gpu=0)
        assert layers(plan) == {"cpu": 21}
        assert plan.gpu_layers == 0

    @pytest.mark.parametrize(("num_gpu", "expected"), [(1, 1), (7, 7), (21, 21), (999, 21)])
    def test_num_gpu_is_obeyed(self, num_gpu: int, expected: int) -> None:
        plan = planned(sized(4), [gpu(0, 80), cpu()], num_gpu=num_gpu)
        assert plan.gpu_layers == expected
        assert layers(plan).get("cpu", 0) == 21 - expected

    @pytest.mark.parametrize("options", [{"num_gpu": 99}, {"num_gpu": 1}, {"main_gpu": 0}])
    @pytest.mark.parametrize("policy", [ONE, replace(ONE, multi_gpu=MultiGpu(enabled=True))])
    def test_gpus_that_nobody_has_are_not_missed(self, options: dict[str, int], policy: Policy) -> None:
        plan = place(sized(4), make_options(**options), spaces([cpu(64)]), policy)
        assert isinstance(plan, Plan)
        assert layers(plan) == {"cpu": 21}

    def test_num_gpu_that_does_not_fit_is_refused(self) -> None:
        assert isinstance(place(sized(12), make_options(num_gpu=99), spaces([gpu(0, 8), cpu(64)]), ONE), Refusal)

    def test_main_gpu_counts_inside_each_kind(self) -> None:
        devices = [gpu(0, 10), gpu(0, 20, kind="rocm"), gpu(1, 24, kind="rocm"), cpu()]
        assert layers(planned(sized(4), devices, main_gpu=1)) == {"rocm-1": 21}

    def test_main_gpu_stands_alone_even_when_it_is_too_small(self) -> None:
        plan = planned(sized(12), [gpu(0, 8), gpu(1, 80), cpu(32)], main_gpu=0)
        assert layers(plan).keys() == {"cuda-0", "cpu"}

    def test_main_gpu_that_does_not_exist_is_ignored(self) -> None:
        assert layers(planned(sized(4), [gpu(0, 8), gpu(1, 10), cpu()], main_gpu=7)) == {"cuda-1": 21}

    def test_automatic_context_shrinks_before_the_model_is_refused(self) -> None:
        model = make_model(spec=make_spec(layers=20, layer_bytes=GIB // 20, context_length=131072))
        plan = planned(model, [cpu(4)], replace(ONE, num_ctx=131072))
        assert plan.context_length == 32768

    def test_chosen_context_is_refused_with_the_numbers(self) -> None:
        model = make_model(spec=make_spec(layers=20, layer_bytes=GIB // 20, context_length=131072))
        refusal = place(model, make_options(num_ctx=131072), spaces([cpu(4)]), ONE)
        assert isinstance(refusal, Refusal)
        assert "with a context of 131072 tokens" in refusal.reason
        assert "cpu: 4.0 of 4.0 GiB" in refusal.reason

    def test_model_without_weights_is_refused(self) -> None:
        model = sized(1)
        remote = replace(model, stored=replace(model.stored, spec=None, weights=None))
        assert isinstance(place(remote, make_options(), spaces([cpu()]), ONE), Refusal)


class TestSequences:
    def test_small_model_on_a_24_gib_machine_stays_small(self) -> None:
        plan = planned(sized(0.5), [cpu(24, free=20)], Policy())
        assert plan.sequences > 4
        assert sum(share.kv_bytes for share in plan.shares) < 1.2 * GIB

    def test_roomy_gpu_gives_sixteen_streams(self) -> None:
        plan = planned(sized(4), [gpu(0, 80), cpu()], Policy())
        assert (plan.sequences, plan.shared_cells) == (16, False)

    def test_chosen_number_is_obeyed_on_a_full_gpu(self) -> None:
        plan = planned(sized(12), [gpu(0, 8), cpu(16)], Policy(num_parallel=16))
        assert plan.sequences == 16
        assert plan.shared_cells

    def test_more_sequences_never_push_blocks_off_the_gpu(self) -> None:
        devices = [gpu(0, 8), cpu(64)]
        assert planned(sized(12), devices, Policy()).gpu_layers == planned(sized(12), devices).gpu_layers

    def test_embedding_model_has_one_context(self) -> None:
        model = make_model(spec=make_spec(), capabilities=("embedding",))
        plan = planned(model, [cpu(64)], Policy())
        assert (plan.sequences, plan.batch) == (1, 2048)


@given(
    gib=st.floats(0.1, 40),
    gpus=st.lists(st.floats(0.01, 24), max_size=4),
    host=st.floats(0.1, 64),
    parallel=st.sampled_from([None, 1, 4]),
    num_gpu=st.sampled_from([-1, -1, 0, 3, 99]),
    spread=st.booleans(),
)
def test_every_plan_fits_and_places_every_block(
    *, gib: float, gpus: list[float], host: float, parallel: int | None, num_gpu: int, spread: bool
) -> None:
    devices = [*(gpu(index, 24, free=free) for index, free in enumerate(gpus)), cpu(64, free=host)]
    policy = Policy(num_parallel=parallel, spread=spread)
    plan = place(sized(gib), make_options(num_gpu=num_gpu), spaces(devices), policy)
    if isinstance(plan, Refusal):
        assert gib + 0.1 > host or num_gpu > 0
        return
    free = {device.id: device.free_bytes for device in devices}
    assert all(share.total_bytes <= free[share.device] for share in plan.shares)
    assert sum(share.layers for share in plan.shares) == 21
    assert sum(layers(plan).get(device.id, 0) for device in devices if device.is_gpu) == plan.gpu_layers
    assert plan.cells >= plan.context_length
    assert plan.sequences == (parallel or plan.sequences)


class TestLoadSpec:
    def spec_of(self, devices: Sequence[Device], model: Model | None = None, **options: Any) -> Any:
        model = model or sized(4)
        plan = planned(model, devices, **options)
        return load_spec(model, make_options(**options), plan, devices, ONE, mapped_bytes=0)

    def test_single_gpu_is_the_only_device_the_engine_sees(self) -> None:
        spec = self.spec_of([gpu(0, 10), gpu(1, 20), cpu()])
        assert spec.stages == (Stage(engine_device="CUDA1", layers=21),)
        assert spec.main_gpu == 0

    def test_split_names_its_devices_in_stage_order(self) -> None:
        spec = self.spec_of([gpu(0, 10), gpu(1, 20), cpu(64)], sized(20))
        assert spec.stages == (Stage(engine_device="CUDA0", layers=7), Stage(engine_device="CUDA1", layers=14))
        assert spec.main_gpu is None

    def test_cpu_alone_has_no_engine_device_and_its_cores(self) -> None:
        spec = self.spec_of([cpu()])
        assert spec.stages == ()
        assert spec.plan.gpu_layers == 0
        assert spec.cores == (0, 1)
        assert spec.plan.threads == 0

    def test_chosen_threads_are_obeyed(self) -> None:
        assert self.spec_of([cpu()], num_thread=1).plan.threads == 1

    def test_embedding_model_pools(self) -> None:
        assert self.spec_of([cpu()], make_model(capabilities=("embedding",))).pooling
        assert not self.spec_of([cpu()]).pooling

    def test_chosen_mapping_wins(self) -> None:
        assert self.spec_of([cpu()], use_mmap=True).options.use_mmap is True
        assert self.spec_of([gpu(0, 10), cpu()], use_mmap=False).options.use_mmap is False


class TestMapping:
    def maps(self, devices: Sequence[Device], model: Model, mapped: int = 0, **options: Any) -> bool:
        plan = planned(model, devices, **options)
        gpus = [device for device in devices if device.id in layers(plan) and device.is_gpu]
        host = next(device for device in devices if not device.is_gpu)
        assert model.stored.spec is not None
        return maps_weights(model.stored.spec, plan, gpus, host, mapped)

    def test_not_on_the_cpu_alone(self) -> None:
        assert not self.maps([cpu()], sized(4))

    def test_on_a_discrete_gpu_with_enough_memory_beside_it(self) -> None:
        assert self.maps([gpu(0, 24), cpu(64)], sized(4))

    def test_not_where_the_page_cache_would_starve_the_machine(self) -> None:
        devices = [gpu(0, 80), cpu(100, free=50)]
        assert self.maps(devices, sized(30), mapped=int(9.5 * GIB))
        assert not self.maps(devices, sized(30), mapped=25 * GIB)

    def test_not_for_a_partial_offload_on_metal(self) -> None:
        devices = [gpu(0, 24, kind="metal", integrated=True), cpu(24)]
        assert self.maps(devices, sized(4))
        assert not self.maps(devices, sized(4), num_gpu=10)
