"""Decisions of the core, one situation each; memory in whole GiB so that the numbers can be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pollama.errors import CanceledError, LoadError, PlacementError, QueueFullError
from pollama.scheduler import events
from pollama.scheduler.policy import MIB, Policy
from pollama.types.requests import FOREVER
from tests.scheduler.support import TIGHT, World, cpu, gpu, make_model, make_spec, wish

A, B, C = make_model("a"), make_model("b"), make_model("c")
BIG = make_model("big", spec=make_spec(layers=10, layer_bytes=512 * MIB))
"""More than half of the memory of ``ONE_GPU``."""
LARGE = make_model("large", spec=make_spec(layers=9, layer_bytes=512 * MIB))
ONE_GPU = (gpu(0, 8), cpu(32))
TWO_GPUS = (gpu(0, 8), gpu(1, 8), cpu(32))
ONE_MODEL = replace(TIGHT, max_loaded=1)


def test_cold_model_is_loaded_then_granted() -> None:
    world = World(TIGHT, [cpu()])
    ticket = world.want(wish(A))
    assert world.granted == {}
    world.loaded(1)
    assert world.granted == {ticket: 1}


def test_one_load_serves_all_who_wait_for_it() -> None:
    world = World(replace(TIGHT, num_parallel=4), [cpu()])
    tickets = [world.want(wish(A)) for _ in range(3)]
    world.loaded(1)
    assert world.granted == dict.fromkeys(tickets, 1)
    assert list(world.loads) == [1]


def test_different_models_load_side_by_side() -> None:
    world = World(TIGHT, [cpu()])
    world.want(wish(A))
    world.want(wish(B))
    assert list(world.loads) == [1, 2]


def test_two_names_of_the_same_weights_share_a_replica_under_the_first_name() -> None:
    world = World(TIGHT, [cpu()])
    first, replica = world.serve(wish(A))
    world.leave(first)
    _, second = world.serve(wish(make_model("other", weights="a")))
    assert second == replica
    assert world.replica(replica).model is A


def test_same_weights_with_an_adapter_are_another_model() -> None:
    world = World(TIGHT, [cpu()])
    tuned = replace(A, stored=replace(A.stored, adapters=(A.stored.weights or A.stored.projectors[0],)))
    _, first = world.serve(wish(A))
    _, second = world.serve(wish(tuned))
    assert first != second


class TestQueue:
    def test_limit_counts_those_who_wait_for_a_hot_model(self) -> None:
        world = World(replace(TIGHT, max_queue=2), [cpu()])
        world.serve(wish(A))
        waiting = [world.want(wish(A)) for _ in range(2)]
        refused = world.want(wish(A))
        assert isinstance(world.refused[refused], QueueFullError)
        assert not world.refused.keys() & set(waiting)

    def test_limit_does_not_count_the_one_that_a_model_makes_room_for(self) -> None:
        """Ollama's recorded behaviour with a queue of one and a busy model in the way of another."""
        world = World(replace(ONE_MODEL, max_queue=1), [cpu()])
        spinning, _ = world.serve(wish(A))
        river, green, blue = (world.want(wish(B)) for _ in range(3))
        third = world.want(wish(C))
        assert world.refused.keys() == {blue, third}
        world.leave(spinning)
        world.unloaded(1)
        world.loaded(2)
        world.leave(river)
        assert world.granted.keys() == {spinning, river, green}

    def test_nothing_waits_with_a_limit_of_zero_but_loads_go_on(self) -> None:
        world = World(replace(TIGHT, max_queue=0), [cpu()])
        ticket, _ = world.serve(wish(A))
        assert ticket in world.granted
        assert isinstance(world.refused[world.want(wish(A))], QueueFullError)
        world.want(wish(B))
        assert len(world.loads) == 2

    def test_place_of_a_ticket_that_left_is_free_again(self) -> None:
        world = World(replace(TIGHT, max_queue=1), [cpu()])
        holder, _ = world.serve(wish(A))
        world.leave(world.want(wish(A)))
        patient = world.want(wish(A))
        world.leave(holder)
        assert patient in world.granted

    def test_clients_take_turns_on_a_hot_model(self) -> None:
        world = World(TIGHT, [cpu()])
        holder, _ = world.serve(wish(A, client="greedy"))
        greedy = [world.want(wish(A, client="greedy")) for _ in range(3)]
        modest = world.want(wish(A, client="modest"))
        served = [holder]
        while world.core.waiting:
            world.leave(served[-1])
            served.append(max(world.granted, key=list(world.granted).index))
        assert served[1:] == [modest, *greedy]


class TestResidency:
    def test_keep_alive_runs_from_the_end_of_the_last_request(self) -> None:
        world = World(TIGHT, [cpu()])
        ticket, _ = world.serve(wish(A, keep_alive=10))
        world.elapse(100)
        world.leave(ticket)
        assert world.wake_at == 110
        world.elapse(9)
        assert world.unloads == []
        world.elapse(1)
        assert world.unloads == [1]

    def test_last_keep_alive_wins_and_none_keeps_it(self) -> None:
        world = World(TIGHT, [cpu()])
        for keep_alive, expected in ((None, 300), (10, 10), (None, 10), (FOREVER, FOREVER), (20.5, 20.5)):
            ticket, replica = world.serve(wish(A, keep_alive=keep_alive))
            world.leave(ticket)
            assert world.replica(replica).expires_at == expected

    def test_keep_alive_zero_waits_for_those_who_use_or_want_the_model(self) -> None:
        world = World(TIGHT, [cpu()])
        first, _ = world.serve(wish(A, keep_alive=0))
        second = world.want(wish(A))
        world.leave(first)
        assert second in world.granted
        assert world.unloads == []
        world.leave(second)
        assert world.unloads == [1]

    def test_unload_request_leaves_a_busy_model_until_it_is_done(self) -> None:
        world = World(TIGHT, [cpu()])
        ticket, _ = world.serve(wish(A, keep_alive=FOREVER))
        world.send(events.Expired(A))
        assert world.unloads == []
        world.leave(ticket)
        assert world.unloads == [1]

    def test_least_recently_used_idle_model_leaves_first(self) -> None:
        world = World(replace(TIGHT, max_loaded=2), [cpu()])
        for model in (A, B, A):
            ticket, _ = world.serve(wish(model))
            world.elapse(1)
            world.leave(ticket)
        world.want(wish(C))
        assert world.unloads == [2]

    def test_idle_model_leaves_rather_than_a_busy_one(self) -> None:
        world = World(replace(TIGHT, max_loaded=2), [cpu()])
        world.serve(wish(A))
        ticket, _ = world.serve(wish(B))
        world.leave(ticket)
        world.want(wish(C))
        assert world.unloads == [2]

    def test_only_models_that_help_leave(self) -> None:
        world = World(TIGHT, TWO_GPUS)
        first, _ = world.serve(wish(LARGE))
        second, _ = world.serve(wish(BIG))
        assert [spec.stages[0].engine_device for spec in world.loads.values()] == ["CUDA0", "CUDA1"]
        for ticket in (first, second):
            world.elapse(1)
            world.leave(ticket)
        world.want(wish(make_model("x", spec=BIG.stored.spec), num_gpu=11, main_gpu=1))
        assert world.unloads == [2]

    def test_model_leaves_rather_than_that_another_spills_to_the_cpu(self) -> None:
        world = World(TIGHT, ONE_GPU)
        ticket, _ = world.serve(wish(BIG))
        world.leave(ticket)
        world.want(wish(LARGE))
        assert world.unloads == [1]
        world.unloaded(1)
        assert world.loads[2].plan.gpu_layers == 10

    def test_model_leaves_rather_than_that_another_gets_a_shorter_context(self) -> None:
        world = World(replace(TIGHT, num_ctx=32768), [cpu(5)])
        long = make_model("long", spec=make_spec(layers=32, context_length=65536))
        ticket, _ = world.serve(wish(make_model("idle", spec=make_spec(layers=16))))
        world.leave(ticket)
        world.want(wish(long))
        assert world.unloads == [1]
        world.unloaded(1)
        assert world.loads[2].plan.context_length == 32768

    def test_small_model_loads_beside_a_large_one(self) -> None:
        world = World(TIGHT, ONE_GPU)
        world.serve(wish(BIG))
        world.serve(wish(A))
        assert world.unloads == []
        assert [stage.engine_device for stage in world.loads[2].stages] == ["CUDA0"]

    def test_memory_is_kept_until_the_unload_is_done(self) -> None:
        world = World(TIGHT, ONE_GPU)
        ticket, _ = world.serve(wish(BIG))
        world.leave(ticket)
        world.want(wish(LARGE))
        assert list(world.loads) == [1]
        world.unloaded(1)
        assert list(world.loads) == [1, 2]

    def test_load_in_flight_reserves_its_memory(self) -> None:
        world = World(TIGHT, ONE_GPU)
        world.want(wish(BIG))
        world.want(wish(LARGE))
        assert list(world.loads) == [1]


class TestBusyVictim:
    def test_does_not_hold_up_other_models(self) -> None:
        world = World(TIGHT, ONE_GPU)
        world.serve(wish(BIG))
        world.want(wish(LARGE))
        small, _ = world.serve(wish(A, num_gpu=0))
        assert small in world.granted

    def test_takes_no_new_requests_and_leaves_when_done(self) -> None:
        world = World(replace(ONE_MODEL, num_parallel=4), [cpu()])
        holder, _ = world.serve(wish(A))
        waiter = world.want(wish(B))
        late = world.want(wish(A, keep_alive=FOREVER))
        assert late not in world.granted
        world.leave(holder)
        assert world.unloads == [1]
        world.unloaded(1)
        world.loaded(2)
        assert waiter in world.granted
        assert late not in world.granted

    def test_serves_again_when_the_waiter_gives_up(self) -> None:
        world = World(replace(ONE_MODEL, num_parallel=4), [cpu()])
        world.serve(wish(A))
        waiter = world.want(wish(B))
        late = world.want(wish(A))
        world.leave(waiter)
        assert world.granted[late] == 1

    def test_is_spared_when_another_becomes_idle(self) -> None:
        world = World(replace(TIGHT, max_loaded=2), [cpu()])
        world.serve(wish(A))
        world.elapse(1)
        second, _ = world.serve(wish(B))
        world.want(wish(C))
        world.leave(second)
        assert world.unloads == [2]

    def test_later_tickets_do_not_take_what_it_gives_back(self) -> None:
        world = World(TIGHT, ONE_GPU)
        holder, _ = world.serve(wish(BIG))
        large = world.want(wish(LARGE))
        small = make_model("small", spec=make_spec(layers=4, layer_bytes=512 * MIB))
        world.want(wish(small))
        assert list(world.loads) == [1]
        world.leave(holder)
        world.unloaded(1)
        assert world.loads[2].weights == LARGE.stored.weights
        world.loaded(2)
        assert large in world.granted


class TestReload:
    def test_other_load_options_wait_for_the_running_request(self) -> None:
        world = World(replace(TIGHT, num_parallel=4), [cpu()])
        holder, _ = world.serve(wish(A))
        other = world.want(wish(A, num_ctx=256))
        assert list(world.loads) == [1]
        world.leave(holder)
        assert world.unloads == [1]
        world.unloaded(1)
        world.loaded(2)
        assert world.granted[other] == 2
        assert world.loads[2].plan.context_length == 256

    @pytest.mark.parametrize(
        ("first", "second", "reloads"),
        [
            ({}, {}, False),
            ({}, {"temperature": 0.1, "seed": 3}, False),
            ({}, {"num_ctx": 4096}, False),
            ({"num_ctx": 4096}, {}, False),
            ({"num_ctx": 256}, {}, True),
            ({}, {"num_ctx": 2048}, True),
            ({"num_ctx": 99999}, {"num_ctx": 88888}, False),
            ({"num_ctx": 1}, {"num_ctx": 3}, False),
            ({}, {"num_gpu": -1}, False),
            ({"num_gpu": 0}, {}, False),
            ({}, {"num_gpu": 0}, True),
            ({}, {"main_gpu": 0}, True),
            ({}, {"num_batch": 128}, True),
            ({"num_batch": 128}, {"num_batch": 128}, False),
            ({"num_batch": 0}, {"num_batch": 0}, False),
            ({}, {"use_mmap": False}, True),
            ({}, {"num_thread": 1}, True),
            ({}, {"draft_num_predict": 1}, True),
        ],
    )
    def test_rule(self, first: dict[str, Any], second: dict[str, Any], reloads: bool) -> None:
        world = World(TIGHT, [cpu()])
        ticket, _ = world.serve(wish(A, **first))
        world.leave(ticket)
        world.want(wish(A, **second))
        assert (world.unloads == [1]) is reloads

    def test_alternating_options_do_not_reload_for_every_request(self) -> None:
        world = World(TIGHT, [cpu()])
        sizes = (256, 512) * 4
        tickets = [world.want(wish(A, num_ctx=size)) for size in sizes]
        while world.core.waiting or len(world.granted) < len(tickets):
            world.finish_all()
        assert len(world.loads) == 2
        assert world.granted.keys() == set(tickets)

    def test_endless_requests_with_one_option_do_not_starve_the_other(self) -> None:
        world = World(replace(TIGHT, num_parallel=4), [cpu()])
        holders = [world.serve(wish(A))[0]]
        other = world.want(wish(A, num_ctx=256))
        for _ in range(5):
            world.want(wish(A))
            world.leave(holders.pop()) if holders else world.finish_all()
        assert other in world.granted


class TestFailures:
    def test_failed_load_refuses_all_who_waited_for_it_every_time(self) -> None:
        world = World(TIGHT, [cpu()])
        for attempt in (1, 2):
            tickets = [world.want(wish(A)) for _ in range(2)]
            world.send(events.LoadFailed(attempt, LoadError("damaged")))
            assert [str(world.refused[ticket]) for ticket in tickets] == ["damaged", "damaged"]
        assert len(world.loads) == 2
        assert not world.core.replicas

    def test_failed_load_does_not_concern_others(self) -> None:
        world = World(TIGHT, [cpu()])
        world.want(wish(A))
        other = world.want(wish(B))
        world.send(events.LoadFailed(1, LoadError("damaged")))
        world.loaded(2)
        assert other in world.granted

    def test_load_that_ran_out_of_memory_is_tried_once_more_alone(self) -> None:
        world = World(TIGHT, [cpu()])
        holder, _ = world.serve(wish(A))
        ticket = world.want(wish(B))
        world.send(events.LoadFailed(2, LoadError("cudaMalloc failed: out of memory")))
        assert ticket not in world.refused
        world.leave(holder)
        assert world.unloads == [1]
        world.unloaded(1)
        world.send(events.LoadFailed(3, LoadError("cudaMalloc failed: out of memory")))
        assert ticket in world.refused

    def test_load_that_ran_out_of_memory_is_tried_with_a_shorter_automatic_context(self) -> None:
        world = World(replace(TIGHT, num_ctx=32768), [cpu()])
        model = make_model("long", spec=make_spec(context_length=65536))
        tickets = [world.want(wish(model)), world.want(wish(model, num_ctx=32768))]
        world.send(events.LoadFailed(1, LoadError("failed to allocate the KV cache")))
        assert world.refused.keys() == {tickets[1]}
        assert [spec.plan.context_length for spec in world.loads.values()] == [32768, 4096]
        world.loaded(2)
        assert world.granted == {tickets[0]: 2}
        assert world.want(wish(model)) not in world.refused
        assert len(world.loads) == 2

    def test_load_alone_that_ran_out_of_memory_is_not_repeated(self) -> None:
        world = World(TIGHT, [cpu()])
        ticket = world.want(wish(A))
        world.send(events.LoadFailed(1, LoadError("out of memory")))
        assert ticket in world.refused

    def test_dead_replica_is_replaced(self) -> None:
        world = World(TIGHT, [cpu()])
        holder, _ = world.serve(wish(A))
        waiter = world.want(wish(A))
        world.send(events.ReplicaExited(1))
        world.loaded(2)
        assert world.granted[waiter] == 2
        world.leave(holder)
        assert set(world.replica(2).leases) == {waiter}

    def test_load_that_nobody_wants_any_more_is_cancelled(self) -> None:
        world = World(TIGHT, [cpu()])
        tickets = [world.want(wish(A)) for _ in range(2)]
        world.leave(tickets[0])
        assert world.unloads == []
        world.leave(tickets[1])
        assert world.unloads == [1]
        world.unloaded(1)
        assert not world.core.replicas

    def test_load_that_finished_while_it_was_cancelled_is_not_used(self) -> None:
        world = World(TIGHT, [cpu()])
        world.leave(world.want(wish(A)))
        late = world.want(wish(A))
        world.loaded(1)
        assert late not in world.granted
        world.unloaded(1)
        world.loaded(2)
        assert world.granted[late] == 2

    def test_model_that_fits_nowhere_is_refused_at_once(self) -> None:
        world = World(TIGHT, [cpu(2)])
        ticket = world.want(wish(BIG))
        assert isinstance(world.refused[ticket], PlacementError)
        assert "5.2 GiB" in str(world.refused[ticket])

    def test_closed_scheduler_refuses_and_unloads(self) -> None:
        world = World(TIGHT, [cpu()])
        world.serve(wish(A))
        waiter = world.want(wish(A))
        world.send(events.Closed())
        assert world.unloads == [1]
        late = world.want(wish(B))
        assert {type(world.refused[ticket]) for ticket in (waiter, late)} == {CanceledError}


class TestLimits:
    def test_without_a_gpu_three_models_stay_loaded(self) -> None:
        world = World(replace(TIGHT, max_loaded=0), [cpu()])
        for name in "abcd":
            ticket = world.want(wish(make_model(name)))
            for replica in list(world.core.replicas):
                if replica.state == "loading":
                    world.loaded(replica.id)
            world.leave(ticket)
        assert world.unloads == [1]

    def test_three_models_per_gpu_stay_loaded(self) -> None:
        world = World(replace(TIGHT, max_loaded=0), TWO_GPUS)
        for name in "abcdef":
            world.serve(wish(make_model(name)))
        assert world.unloads == []
        assert len(world.loads) == 6

    def test_memory_that_others_took_is_noticed_before_a_load(self) -> None:
        world = World(TIGHT, [cpu(16)])
        world.elapse(60)
        world.devices = (cpu(16, free=1),)
        ticket = world.want(wish(LARGE))
        assert isinstance(world.refused[ticket], PlacementError)

    def test_reading_counts_what_ready_replicas_use_as_ours(self) -> None:
        world = World(Policy(gpu_margin=0, host_margin=0, num_parallel=1), [cpu(8)])
        ticket, _ = world.serve(wish(BIG))
        world.leave(ticket)
        world.elapse(60)
        world.devices = (cpu(8, free=2.5),)
        world.want(wish(LARGE))
        assert world.unloads == [1]
        world.unloaded(1)
        assert len(world.loads) == 2

    def test_integrated_gpu_has_no_more_than_the_machine(self) -> None:
        world = World(TIGHT, [gpu(0, 12, integrated=True), cpu(16, free=6)])
        ticket = world.want(wish(make_model("x", spec=make_spec(layers=14, layer_bytes=512 * MIB)), num_gpu=15))
        assert "cuda 0: 6.0 of 12.0 GiB" in str(world.refused[ticket])
