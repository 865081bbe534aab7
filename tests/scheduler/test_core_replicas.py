"""Replicas of one model on several devices: when there is one more, who is served by which, when they leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from pollama.errors import LoadError, QueueFullError
from pollama.scheduler import events
from pollama.scheduler.policy import MIB, Policy
from pollama.types.multigpu import ModelRule, MultiGpu, Wish
from tests.scheduler.support import TIGHT, World, cpu, gpu, make_model, make_spec, wish

A, B = make_model("a"), make_model("b")
BIG = make_model("big", spec=make_spec(layers=10, layer_bytes=512 * MIB))
CORES = (cpu(16, name="core0", cores=(0,)), cpu(16, name="core1", cores=(1,)))
REPLICAS = replace(TIGHT, multi_gpu=MultiGpu(enabled=True))
DATA = replace(TIGHT, multi_gpu=MultiGpu(enabled=True, strategy="data"))


def devices_of(world: World) -> list[str]:
    return [share.device for spec in world.loads.values() for share in spec.plan.shares if share.layers]


class TestScaleOut:
    def test_a_model_that_is_full_gets_a_replica_on_the_other_device(self) -> None:
        world = World(REPLICAS, CORES)
        world.serve(wish(A))
        waiting = world.want(wish(A))
        assert devices_of(world) == ["core0", "core1"]
        assert [spec.cores for spec in world.loads.values()] == [(0,), (1,)]
        world.loaded(2)
        assert world.granted[waiting] == 2

    def test_one_replica_is_all_without_the_setting(self) -> None:
        world = World(TIGHT, CORES)
        world.serve(wish(A))
        world.want(wish(A))
        assert list(world.loads) == [1]

    def test_a_free_sequence_is_used_before_another_replica_is_loaded(self) -> None:
        world = World(replace(REPLICAS, num_parallel=2), CORES)
        world.serve(wish(A))
        world.serve(wish(A))
        assert list(world.loads) == [1]

    def test_as_many_at_once_as_requests_wait(self) -> None:
        devices = [cpu(name=f"core{index}") for index in range(4)]
        world = World(REPLICAS, devices)
        for _ in range(3):
            world.want(wish(A))
        assert list(world.loads) == [1]
        world.loaded(1)
        assert list(world.loads) == [1, 2, 3]

    def test_no_more_than_wished(self) -> None:
        world = World(
            replace(TIGHT, multi_gpu=MultiGpu(enabled=True, strategy="data", replicas=2)),
            [cpu(name=f"core{index}") for index in range(4)],
        )
        world.serve(wish(A))
        for _ in range(5):
            world.want(wish(A))
        assert list(world.loads) == [1, 2]

    def test_no_replica_where_there_is_no_room(self) -> None:
        world = World(DATA, [cpu(16, name="core0"), cpu(16, name="core1", limit=0.1)])
        world.serve(wish(A))
        world.want(wish(A))
        assert devices_of(world) == ["core0"]

    def test_devices_in_one_memory_are_not_filled_twice(self) -> None:
        world = World(DATA, [cpu(8, name="core0"), cpu(8, name="core1")])
        world.serve(wish(BIG))
        world.want(wish(BIG))
        assert devices_of(world) == ["core0"]

    def test_a_replica_on_the_cpu_does_not_join_one_on_a_gpu(self) -> None:
        world = World(REPLICAS, [gpu(0, 8), cpu(32)])
        world.serve(wish(A))
        world.want(wish(A))
        assert devices_of(world) == ["cuda-0"]

    def test_every_gpu_gets_a_replica(self) -> None:
        world = World(REPLICAS, [gpu(0, 8), gpu(1, 8), cpu(32)])
        world.serve(wish(A))
        world.want(wish(A))
        assert devices_of(world) == ["cuda-0", "cuda-1"]

    def test_a_replica_is_loaded_with_the_options_of_the_first(self) -> None:
        world = World(REPLICAS, CORES)
        world.serve(wish(A, num_ctx=1000))
        world.want(wish(A, num_ctx=1000, temperature=1))
        assert [spec.plan.context_length for spec in world.loads.values()] == [1000, 1000]

    def test_who_waits_for_memory_comes_before_another_replica(self) -> None:
        world = World(REPLICAS, [cpu(8, name="core0"), cpu(8, name="core1")])
        world.serve(wish(A))
        world.serve(wish(BIG))
        world.want(wish(make_model("other", spec=BIG.stored.spec)))
        world.want(wish(A))
        assert list(world.loads) == [1, 2]

    def test_the_queue_does_not_count_the_one_that_a_replica_is_loaded_for(self) -> None:
        world = World(replace(REPLICAS, max_queue=0), CORES)
        world.serve(wish(A))
        second, third = world.want(wish(A)), world.want(wish(A))
        assert second not in world.refused
        assert isinstance(world.refused[third], QueueFullError)

    def test_free_memory_is_read_again_before_a_replica_is_loaded(self) -> None:
        world = World(REPLICAS, CORES)
        world.serve(wish(A))
        world.now += 60
        commands = world.core.handle(events.Wanted(99, wish(A)), world.now)
        assert commands == [events.Survey()]
        assert [command for command in world.core.handle(events.DevicesChanged(CORES), world.now) if isinstance(
            command, events.Load
        )]  # fmt: skip


class TestEarly:
    EARLY = replace(TIGHT, num_parallel=4, multi_gpu=MultiGpu(enabled=True, strategy="data"))

    def test_a_replica_is_added_as_soon_as_all_are_in_use(self) -> None:
        world = World(self.EARLY, CORES)
        world.serve(wish(A))
        assert devices_of(world) == ["core0", "core1"]

    def test_without_a_strategy_a_replica_is_added_when_requests_would_be_served_faster(self) -> None:
        heavy = make_model("heavy", spec=replace(make_spec(layer_bytes=MIB), parameter_count=1_000_000_000))
        world = World(replace(REPLICAS, num_parallel=16), CORES)
        world.serve(wish(heavy))
        assert devices_of(world) == ["core0"]
        world.want(wish(heavy))
        assert devices_of(world) == ["core0", "core1"]

    def test_one_request_does_not_add_a_second_time_what_has_expired(self) -> None:
        world = World(self.EARLY, CORES)
        world.serve(wish(A, keep_alive=10))
        world.loaded(2)
        world.elapse(20)
        assert world.unloads == [2]
        world.unloaded(2)
        assert list(world.loads) == [1, 2]
        world.want(wish(A))
        assert list(world.loads) == [1, 2, 3]

    def test_a_model_that_shall_leave_gets_no_company(self) -> None:
        world = World(self.EARLY, CORES)
        world.serve(wish(A, keep_alive=0))
        assert list(world.loads) == [1]


class TestFailure:
    def test_a_replica_that_fails_to_load_refuses_nobody_and_is_not_tried_at_once(self) -> None:
        world = World(REPLICAS, CORES)
        first, _ = world.serve(wish(A))
        second = world.want(wish(A))
        world.send(events.LoadFailed(2, LoadError("damaged")))
        assert (world.refused, list(world.loads)) == ({}, [1, 2])
        world.want(wish(A))
        assert list(world.loads) == [1, 2]
        world.leave(first)
        assert world.granted[second] == 1
        world.elapse(REPLICAS.replica_pause)
        assert list(world.loads) == [1, 2, 3]

    def test_a_dead_replica_leaves_the_others_and_is_replaced_on_demand(self) -> None:
        world = World(REPLICAS, CORES)
        first, _ = world.serve(wish(A))
        second, _ = world.serve(wish(A))
        world.send(events.ReplicaExited(1))
        world.leave(first)
        world.want(wish(A))
        assert devices_of(world) == ["core0", "core1", "core0"]
        world.leave(second)
        assert world.unloads == []


class TestScaleIn:
    def test_each_replica_leaves_by_its_own_last_use(self) -> None:
        world = World(replace(REPLICAS, keep_alive=10), CORES)
        first, _ = world.serve(wish(A))
        second, _ = world.serve(wish(A))
        world.leave(second)
        world.elapse(5)
        world.leave(first)
        world.elapse(5)
        assert world.unloads == [2]
        world.elapse(5)
        assert world.unloads == [2, 1]

    def test_a_replica_that_was_begun_is_finished_while_the_model_is_in_use(self) -> None:
        world = World(REPLICAS, CORES)
        first, _ = world.serve(wish(A))
        world.leave(world.want(wish(A)))
        assert world.unloads == []
        world.leave(first)
        assert world.unloads == [2]

    def test_a_keep_alive_holds_for_all_replicas(self) -> None:
        world = World(REPLICAS, CORES)
        first, _ = world.serve(wish(A))
        second, _ = world.serve(wish(A))
        world.leave(first)
        world.leave(second)
        third, _ = world.serve(wish(A, keep_alive=0))
        assert len(world.unloads) == 1
        world.leave(third)
        assert sorted(world.unloads) == [1, 2]

    def test_unload_reaches_all_replicas(self) -> None:
        world = World(REPLICAS, CORES)
        tickets = [world.serve(wish(A))[0] for _ in range(2)]
        for ticket in tickets:
            world.leave(ticket)
        world.send(events.Expired(A))
        assert sorted(world.unloads) == [1, 2]

    def test_an_idle_replica_makes_room_for_another_model(self) -> None:
        world = World(REPLICAS, (cpu(10, name="core0", cores=(0,)), cpu(10, name="core1", cores=(1,))))
        _, busy = world.serve(wish(A))
        second, idle = world.serve(wish(A))
        world.leave(second)
        world.want(wish(make_model("other", spec=make_spec(layers=17, layer_bytes=512 * MIB))))
        assert world.unloads == [idle]
        assert busy != idle

    def test_replicas_count_as_one_loaded_model(self) -> None:
        world = World(replace(REPLICAS, max_loaded=2), CORES)
        for _ in range(2):
            world.serve(wish(A))
        world.want(wish(B))
        assert len(world.loads) == 3


Balancing = Literal["round_robin", "least_loaded", "performance_aware"]


@pytest.mark.parametrize(
    ("balancing", "small", "large"), [("least_loaded", 3, 3), ("round_robin", 3, 3), ("performance_aware", 1, 5)]
)
def test_requests_are_spread_over_replicas(balancing: Balancing, small: int, large: int) -> None:
    policy = Policy(
        num_parallel=6,
        multi_gpu=MultiGpu(enabled=True, strategy="data", load_balancing=balancing),
        gpu_margin=0,
        host_margin=0,
    )
    world = World(policy, [cpu(32, name="large", cores=(1, 2, 3, 4, 5)), cpu(32, name="small", cores=(0,))])
    first, _ = world.serve(wish(A))
    world.loaded(2)
    world.leave(first)
    for _ in range(6):
        world.want(wish(A))
    counts = {world.loads[replica.id].cores: len(replica.leases) for replica in world.core.replicas}
    assert (counts[0,], counts[1, 2, 3, 4, 5]) == (small, large)


@pytest.mark.parametrize(("balancing", "used"), [("round_robin", {1, 2}), ("least_loaded", {1})])
def test_round_robin_takes_turns_where_least_loaded_stays(balancing: Balancing, used: set[int]) -> None:
    world = World(
        replace(TIGHT, num_parallel=4, multi_gpu=MultiGpu(enabled=True, strategy="data", load_balancing=balancing)),
        CORES,
    )
    first, _ = world.serve(wish(A))
    world.loaded(2)
    world.leave(first)
    chosen = set()
    for _ in range(4):
        ticket, replica = world.serve(wish(A))
        chosen.add(replica)
        world.leave(ticket)
    assert chosen == used


def test_another_model_goes_to_the_device_that_nobody_uses() -> None:
    world = World(TIGHT, CORES)
    world.serve(wish(A))
    world.serve(wish(B))
    assert devices_of(world) == ["core0", "core1"]


def test_limits_hold_on_each_device() -> None:
    world = World(TIGHT, [cpu(64, name=name, limit=8) for name in ("core0", "core1")])
    for name in "xyz":
        world.want(wish(make_model(name, spec=BIG.stored.spec)))
    assert devices_of(world) == ["core0", "core1"]


class TestSplits:
    CORES = tuple(cpu(32, name=f"core{index}", cores=(index,)) for index in range(4))

    def devices(self, world: World) -> list[set[str]]:
        return [{share.device for share in spec.plan.shares} for spec in world.loads.values()]

    def test_the_second_group_of_a_split_comes_with_the_first_request_and_no_third(self) -> None:
        policy = replace(TIGHT, num_parallel=4, multi_gpu=MultiGpu(enabled=True, strategy="pipeline", pipeline_size=2))
        world = World(policy, self.CORES)
        world.serve(wish(A))
        world.loaded(2)
        for _ in range(20):
            world.want(wish(A))
        first, second = self.devices(world)
        assert first == second
        assert len(first) == 2

    def test_a_hybrid_has_replicas_of_a_split_on_devices_of_their_own(self) -> None:
        world = World(replace(TIGHT, multi_gpu=MultiGpu(enabled=True, strategy="hybrid")), self.CORES)
        world.serve(wish(A))
        world.want(wish(A))
        first, second = self.devices(world)
        assert (len(first), len(second), first & second) == (2, 2, set())

    def test_a_joined_device_has_nothing_beside_it(self) -> None:
        world = World(replace(TIGHT, multi_gpu=MultiGpu(enabled=True, strategy="tensor")), self.CORES)
        world.serve(wish(A))
        world.want(wish(A))
        (spec,) = world.loads.values()
        assert (spec.plan.split, set(spec.cores)) == ("tensor", {0, 1, 2, 3})


class TestWishes:
    def test_a_request_with_a_wish_of_its_own_gets_a_load_of_its_own(self) -> None:
        world = World(DATA, CORES)
        first, _ = world.serve(wish(A))
        world.finish_all()
        world.leave(first)
        world.want(replace(wish(A), wish=Wish(devices=("core1",), strategy="tensor")))
        assert world.unloads

    def test_a_request_without_a_wish_takes_what_is_there(self) -> None:
        world = World(DATA, CORES)
        ticket, replica = world.serve(replace(wish(A), wish=Wish(devices=("core1",))))
        world.leave(ticket)
        assert world.serve(wish(A))[1] == replica

    def test_a_rule_of_the_model_counts_for_its_requests(self) -> None:
        settings = MultiGpu(enabled=True, rules={"a": ModelRule(num_ctx=1000, devices=("core1",), slots=3)})
        world = World(replace(TIGHT, multi_gpu=settings), CORES)
        world.serve(wish(A))
        plan = world.loads[1].plan
        assert (plan.context_length, plan.sequences, devices_of(world)) == (1000, 3, ["core1"])
