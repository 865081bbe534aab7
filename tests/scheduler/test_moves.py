"""Replicas that go elsewhere: asked for, for a better plan, away from a busy device; and what decides between them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pollama.clock import ManualClock
from pollama.errors import BadRequestError, LoadError, PlacementError
from pollama.scheduler import events
from pollama.scheduler.balance import Change, changes_to
from pollama.scheduler.policy import MIB, Policy
from pollama.scheduler.scheduler import ModelScheduler
from pollama.scheduler.state import Replica
from pollama.types.devices import Device
from pollama.types.multigpu import Migration, MultiGpu, Wish
from pollama.types.options import Options
from pollama.types.plans import Move, Plan, Share
from pollama.types.ports import Prefix
from tests.scheduler.support import TIGHT, FakeLauncher, World, cpu, gpu, info_of, make_model, make_spec, wish

A = make_model("a")
BIG = make_model("big", spec=make_spec(layers=10, layer_bytes=512 * MIB))
CORES = (cpu(16, name="core0", cores=(0,)), cpu(16, name="core1", cores=(1,)))
SEVERAL = replace(TIGHT, num_parallel=2, multi_gpu=MultiGpu(enabled=True, strategy="data", replicas=1))
BUSY = replace(
    SEVERAL,
    multi_gpu=MultiGpu(
        enabled=True, strategy="data", replicas=1, migration=Migration(enabled=True, threshold=0.8, cooldown=30)
    ),
)


def devices_of(world: World) -> list[str]:
    return [share.device for spec in world.loads.values() for share in spec.plan.shares if share.layers]


def elsewhere(world: World) -> Plan:
    """Return the plan of the first replica, on the other core."""
    plan = world.loads[1].plan
    (share,) = (share for share in plan.shares if share.layers)
    return replace(plan, shares=(replace(share, device="core1" if share.device == "core0" else "core0"),))


class TestMoving:
    def test_the_new_replica_loads_first_then_takes_over_then_the_old_one_drains(self) -> None:
        world = World(SEVERAL, CORES)
        held, _ = world.serve(wish(A))
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        assert devices_of(world) == ["core0", "core1"]
        assert world.granted[world.want(wish(A))] == 1, "until the new one is ready the old one serves"
        world.loaded(2)
        assert world.granted[world.want(wish(A))] == 2
        assert world.unloads == [], "requests in flight finish"
        world.leave(held)
        world.leave(2)
        assert world.unloads == [1]
        world.unloaded(1)
        assert [move.state for move in world.core.moves] == ["done"]

    def test_a_new_replica_that_cannot_be_loaded_changes_nothing(self) -> None:
        world = World(SEVERAL, CORES)
        world.serve(wish(A))
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        world.send(events.LoadFailed(2, LoadError("broken")))
        assert world.granted[world.want(wish(A))] == 1
        assert (world.refused, world.unloads) == ({}, [])
        assert [move.state for move in world.core.moves] == ["failed"]

    def test_a_new_replica_is_not_given_up_while_nobody_asks_for_it(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.leave(ticket)
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        world.elapse(1)
        assert world.unloads == []
        world.loaded(2)
        assert world.unloads == [1]

    def test_an_old_replica_that_dies_on_the_way_leaves_its_place_to_the_new_one(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        world.send(events.ReplicaExited(1))
        world.leave(ticket)
        waiting = world.want(wish(A))
        world.loaded(2)
        assert world.granted[waiting] == 2
        assert [move.state for move in world.core.moves] == ["done"]
        world.send(events.Moved(2, elsewhere(world), "asked for"))
        assert len(world.loads) == 3, "it may move again"

    def test_a_model_that_is_stopped_on_the_way_is_not_loaded_to_the_end(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.leave(ticket)
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        world.send(events.Expired(A))
        assert sorted(world.unloads) == [1, 2]
        world.finish_all()
        assert [move.state for move in world.core.moves] == ["failed"]

    def test_a_model_that_is_stopped_while_it_is_used_leaves_when_it_is_not(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.send(events.Moved(1, elsewhere(world), "asked for"))
        world.send(events.Expired(A))
        assert world.unloads == []
        world.leave(ticket)
        assert sorted(world.unloads) == [1, 2]

    def test_a_new_replica_whose_device_is_lost_on_the_way_changes_nothing(self) -> None:
        world = World(SEVERAL, CORES)
        _, first = world.serve(wish(A))
        target = elsewhere(world)
        world.send(events.Moved(1, target, "asked for"))
        world.devices = CORES[:1]
        world.send(events.DevicesChanged(world.devices))
        world.loaded(2)
        assert world.granted[world.want(wish(A))] == first
        assert world.unloads == [2]
        world.unloaded(2)
        assert [move.state for move in world.core.moves] == ["failed"]

    def test_a_replica_on_its_way_out_is_not_moved(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        plan = elsewhere(world)
        world.leave(ticket)
        world.send(events.Expired(A))
        assert world.unloads == [1]
        world.send(events.Moved(1, plan, "too late"))
        assert (len(world.loads), world.core.moves) == (1, [])

    def test_a_replica_can_only_leave(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.send(events.Moved(1, None, "not needed"))
        assert world.core.moves == [
            Move(model="a:latest", replica=1, source=("core0",), target=None, state="draining", reason="not needed")
        ]
        world.leave(ticket)
        assert world.unloads == [1]


class TestLostDevice:
    def test_nobody_is_sent_to_a_device_that_is_gone(self) -> None:
        world = World(SEVERAL, CORES)
        busy, _ = world.serve(wish(A))
        world.devices = CORES[1:]
        world.send(events.DevicesChanged(world.devices))
        waiting = world.want(wish(A))
        assert devices_of(world) == ["core0", "core1"]
        world.loaded(2)
        assert world.granted[waiting] == 2
        world.leave(busy)
        assert world.unloads == [1]

    def test_an_idle_replica_on_it_leaves_at_once(self) -> None:
        world = World(SEVERAL, CORES)
        ticket, _ = world.serve(wish(A))
        world.leave(ticket)
        world.send(events.DevicesChanged(CORES[1:]))
        assert world.unloads == [1]


class TestBusyDevice:
    def busy(self, world: World, seconds: float, **shares: float) -> None:
        """Measure the same shares every ten seconds."""
        for _ in range(int(seconds / 10) + 1):
            world.send(events.Measured(shares))
            world.now += 10

    def test_a_replica_leaves_a_device_that_is_busy_for_a_cooldown_and_not_before(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        self.busy(world, 20, core0=0.95, core1=0.1)
        assert devices_of(world) == ["core0"]
        self.busy(world, 10, core0=0.95, core1=0.1)
        assert devices_of(world) == ["core0", "core1"]

    def test_never_twice_within_a_cooldown(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        world.serve(wish(make_model("b")))
        assert devices_of(world) == ["core0", "core1"]
        self.busy(world, 30, core0=0.95, core1=0.1)
        assert len(world.loads) == 3
        world.loaded(3)
        self.busy(world, 10, core0=0.1, core1=0.95)
        assert len(world.loads) == 3, "the first move is not a cooldown ago"
        self.busy(world, 30, core0=0.1, core1=0.95)
        assert len(world.loads) == 4

    def test_a_moment_of_calm_begins_the_time_anew(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        self.busy(world, 20, core0=0.95)
        self.busy(world, 0, core0=0.5)
        self.busy(world, 20, core0=0.95)
        assert len(world.loads) == 1

    def test_nothing_moves_to_a_device_that_is_no_better(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        self.busy(world, 60, core0=0.95, core1=0.7)
        assert len(world.loads) == 1

    def test_nothing_moves_to_a_device_with_a_replica_of_the_same_model(self) -> None:
        both = replace(BUSY, multi_gpu=replace(BUSY.multi_gpu, replicas=2))
        world = World(both, CORES)
        world.serve(wish(A))
        world.loaded(2)
        assert sorted(devices_of(world)) == ["core0", "core1"]
        self.busy(world, 60, core0=0.95, core1=0.1)
        assert len(world.loads) == 2

    def test_a_replica_does_not_go_to_and_fro(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        self.busy(world, 30, core0=0.95, core1=0.1)
        world.leave(1)
        world.loaded(2)
        world.unloaded(1)
        world.want(wish(A))
        self.busy(world, 90, core0=0.1, core1=0.95)
        assert devices_of(world) == ["core0", "core1"], "it is its own requests that keep the device busy"

    def test_nothing_moves_against_what_its_requests_asked_for(self) -> None:
        world = World(BUSY, CORES)
        world.serve(replace(wish(A), wish=Wish(devices=("core0",))))
        self.busy(world, 60, core0=0.95, core1=0.1)
        assert len(world.loads) == 1

    def test_requests_alone_move_nothing(self) -> None:
        world = World(BUSY, CORES)
        world.serve(wish(A))
        self.busy(world, 20, core0=0.95, core1=0.1)
        world.now += 600
        world.want(wish(A))
        assert len(world.loads) == 1, "the last reading is ten minutes old"
        self.busy(world, 20, core0=0.95, core1=0.1)
        assert len(world.loads) == 1, "nobody knows what was in between"

    def test_a_cooldown_may_be_shorter_than_the_time_between_readings(self) -> None:
        brief = Migration(enabled=True, threshold=0.8, cooldown=1)
        world = World(replace(BUSY, multi_gpu=replace(BUSY.multi_gpu, migration=brief)), CORES)
        world.serve(wish(A))
        for _ in range(2):
            world.send(events.Measured({"core0": 0.95, "core1": 0.1}))
            world.now += 1.1
        assert devices_of(world) == ["core0", "core1"]

    def test_nothing_moves_without_the_setting(self) -> None:
        world = World(SEVERAL, CORES)
        world.serve(wish(A))
        self.busy(world, 60, core0=0.95)
        assert len(world.loads) == 1

    def test_the_setting_can_be_changed_while_it_runs(self) -> None:
        world = World(SEVERAL, CORES)
        world.serve(wish(A))
        world.send(events.Reconfigured(BUSY))
        self.busy(world, 30, core0=0.95)
        assert len(world.loads) == 2


class TestRouting:
    CHAT = (Prefix(1, 500), Prefix(2, 900))
    SPREAD = replace(TIGHT, num_parallel=4, multi_gpu=MultiGpu(enabled=True, strategy="data"))

    def two_replicas(self) -> World:
        world = World(self.SPREAD, CORES)
        ticket, _ = world.serve(wish(A))
        world.loaded(2)
        world.leave(ticket)
        return world

    def test_a_known_beginning_goes_where_it_was(self) -> None:
        world = self.two_replicas()
        first = world.granted[world.want(replace(wish(A), prefixes=self.CHAT, tokens=1000))]
        world.leave(2)
        longer = (*self.CHAT, Prefix(3, 950))
        assert world.granted[world.want(replace(wish(A), prefixes=longer, tokens=1050))] == first
        other = replace(wish(A), prefixes=(Prefix(9, 800),), tokens=900)
        assert world.granted[world.want(other)] != first, "what is new goes where least is to be done"

    def test_a_common_beginning_does_not_send_all_to_one(self) -> None:
        world = self.two_replicas()
        common = replace(wish(A), prefixes=(Prefix(1, 100),), tokens=300)
        assert sorted(world.granted[world.want(common)] for _ in range(4)) == [1, 1, 2, 2]


class TestScaleIn:
    POLICY = replace(TIGHT, scale_in=60, multi_gpu=MultiGpu(enabled=True))

    def burst(self) -> World:
        world = World(self.POLICY, CORES)
        tickets = [world.want(wish(A)) for _ in range(2)]
        world.finish_all()
        world.finish_all()
        assert sorted(world.granted) == tickets
        world.finish_all()
        return world

    def test_after_a_burst_one_replica_is_left_for_the_keep_alive(self) -> None:
        world = self.burst()
        assert world.wake_at == 60
        world.elapse(60)
        assert len(world.unloads) == 1
        world.elapse(100)
        assert len(world.unloads) == 1
        world.elapse(140)
        assert sorted(world.unloads) == [1, 2]

    def test_requests_that_keep_a_model_for_ever_keep_one_replica_for_ever(self) -> None:
        world = self.burst()
        busy = world.want(wish(A, keep_alive=float("inf")))
        assert world.granted[busy] in {1, 2}
        world.elapse(60)
        assert world.unloads == [3 - world.granted[busy]]

    def test_another_replica_is_not_loaded_for_a_wait_that_is_shorter_than_the_load(self) -> None:
        world = World(self.POLICY, CORES)
        world.want(wish(A))
        plan = world.loads[1].plan
        slow_to_load = replace(info_of(plan), load_seconds=60)
        world.send(events.Loaded(1, slow_to_load))
        world.now += 2
        world.leave(1)
        world.want(wish(A))
        world.want(wish(A))
        assert len(world.loads) == 1, "requests take two seconds here"

    def test_nobody_waits_longer_than_a_load_takes_for_a_request_that_does_not_end(self) -> None:
        world = World(self.POLICY, CORES)
        world.want(wish(A))
        world.send(events.Loaded(1, replace(info_of(world.loads[1].plan), load_seconds=60)))
        world.now += 2
        world.leave(1)
        endless = world.want(wish(A))
        world.now += 100
        late = world.want(wish(A))
        assert (len(world.loads), world.wake_at) == (1, world.now + 60)
        world.elapse(59)
        assert len(world.loads) == 1
        world.elapse(1)
        world.loaded(2)
        assert (world.granted[endless], world.granted[late]) == (1, 2)


def planned(device: str, speed: float) -> Plan:
    share = Share(device=device, layers=3, weight_bytes=1, kv_bytes=1, compute_bytes=1)
    return Plan(
        shares=(share,),
        sequences=1,
        context_length=10,
        cells=10,
        shared_cells=False,
        batch=8,
        tokens_per_second=speed,
    )


def loaded_at(number: int, device: str, speed: float) -> Replica:
    return Replica(number, A, Options(), planned(device, speed), keep_alive=1, last_used=0)


class TestRebalance:
    def test_what_is_where_it_should_be_stays(self) -> None:
        group = [loaded_at(1, "a", 10), loaded_at(2, "b", 10)]
        (change,) = changes_to(group, [planned("b", 12), planned("c", 30)])
        assert change == Change(group[0], planned("c", 30), "42 instead of 20 tokens/s predicted")

    def test_replicas_that_no_plan_needs_leave(self) -> None:
        group = [loaded_at(1, "a", 1), loaded_at(2, "b", 1)]
        changes = changes_to(group, [planned("a", 30)])
        assert [(change.replica.id, change.plan) for change in changes] == [(2, None)]

    def test_a_gain_that_is_not_worth_it_moves_nothing(self) -> None:
        assert changes_to([loaded_at(1, "a", 10)], [planned("b", 10.5)]) == []


class TestReading:
    """Readings that come by themselves while models come and go."""

    POLICY = replace(TIGHT, max_loaded=8)
    LARGE = make_model("large", spec=make_spec(layers=8, layer_bytes=512 * MIB))

    def test_memory_of_a_model_that_loads_is_not_counted_twice(self) -> None:
        world = World(self.POLICY, [gpu(0, 12), cpu(4)])
        world.want(wish(self.LARGE))
        world.send(events.DevicesChanged([gpu(0, 12, free=7), cpu(4)]))
        waiting = world.want(wish(make_model("other", spec=self.LARGE.stored.spec)))
        assert waiting not in world.refused
        assert len(world.loads) == 2

    def test_memory_that_others_took_counts_once_everything_is_at_rest(self) -> None:
        world = World(self.POLICY, [gpu(0, 12), cpu(2)])
        world.serve(wish(A))
        world.devices = (gpu(0, 12, free=1), cpu(2))
        world.send(events.DevicesChanged(world.devices))
        assert world.want(wish(self.LARGE)) in world.refused


class TestShell:
    async def scheduler(self, devices: Sequence[Device] = CORES, policy: Policy = SEVERAL) -> ModelScheduler:
        async def read() -> Sequence[Device]:
            return devices

        scheduler = ModelScheduler(policy, FakeLauncher(), read, ManualClock(1000.0))
        await scheduler.start()
        return scheduler

    async def test_a_replica_migrates_and_nobody_notices(self) -> None:
        scheduler = await self.scheduler()
        async with scheduler.acquire(wish(A)) as lease:
            move = await scheduler.migrate(A, ["core1"])
            assert (move.source, move.target, move.state) == (("core0",), ("core1",), "loading")
            while scheduler.moves()[0].state == "loading":
                await asyncio.sleep(0)
            async with scheduler.acquire(wish(A)) as other:
                assert other.runner is not lease.runner
        while scheduler.moves()[0].state != "done":
            await asyncio.sleep(0)
        assert [resident.replica for resident in scheduler.residents()] == [2]
        await scheduler.close()

    @pytest.mark.parametrize(
        ("devices", "number", "error", "text"),
        [
            (["core7"], None, BadRequestError, "there is no device 'core7', only core0, core1"),
            (["core0"], None, BadRequestError, "core0 has a replica of a:latest already"),
            (["core1"], 9, BadRequestError, "replica must be one of those of a:latest that are ready: 1"),
        ],
    )
    async def test_a_move_to_nowhere_is_refused(
        self, devices: list[str], number: int | None, error: type[Exception], text: str
    ) -> None:
        scheduler = await self.scheduler()
        async with scheduler.acquire(wish(A)):
            with pytest.raises(error, match=text):
                await scheduler.migrate(A, devices, replica=number)
        await scheduler.close()

    async def test_a_model_that_is_not_loaded_cannot_be_moved(self) -> None:
        scheduler = await self.scheduler()
        with pytest.raises(BadRequestError, match="a:latest has no replica that could be moved"):
            await scheduler.migrate(A, ["core1"])
        await scheduler.close()

    async def test_a_replica_whose_device_is_lost_cannot_be_moved(self) -> None:
        scheduler = await self.scheduler()
        async with scheduler.acquire(wish(A)):
            scheduler.devices_changed(CORES[1:])
            with pytest.raises(BadRequestError, match="a:latest has no replica that could be moved"):
                await scheduler.migrate(A, ["core1"])
        await scheduler.close()

    async def test_a_device_that_is_too_small_is_refused_with_the_numbers(self) -> None:
        scheduler = await self.scheduler([CORES[0], cpu(16, name="core1", limit=0.5)])
        async with scheduler.acquire(wish(BIG)):
            with pytest.raises(PlacementError, match=r"requires more memory \(5\.\d GiB"):
                await scheduler.migrate(BIG, ["core1"])
        await scheduler.close()

    async def test_every_ready_replica_tells_how_it_does(self) -> None:
        scheduler = await self.scheduler()
        async with scheduler.acquire(wish(A)):
            assert list(await scheduler.statuses()) == [1]
        await scheduler.close()

    async def test_a_replica_that_hangs_does_not_keep_the_others_from_telling(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheduler = await self.scheduler()
        async with scheduler.acquire(wish(A)) as lease, scheduler.acquire(wish(make_model("b"))):
            monkeypatch.setattr(lease.runner, "status", asyncio.Event().wait)
            assert list(await scheduler.statuses(within=0.5)) == [2]
        await scheduler.close()
