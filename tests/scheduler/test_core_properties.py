"""Invariants of the core under random sequences of events.

Whatever happens: every ticket ends exactly once; nothing that is used is unloaded; the plans in memory fit their
devices; and when requests stop coming and everything under way is finished, nobody waits any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pollama.errors import LoadError
from pollama.scheduler import events
from pollama.scheduler.core import Core
from pollama.scheduler.events import Command, Event
from pollama.scheduler.policy import MIB, Policy
from pollama.scheduler.residency import holding_devices, planned_bytes
from pollama.types.devices import Device
from pollama.types.multigpu import MultiGpu
from pollama.types.plans import LoadSpec
from tests.scheduler.support import World, cpu, gpu, info_of, make_model, make_spec, wish

MODELS = [
    make_model("small"),
    make_model("large", spec=make_spec(layers=9, layer_bytes=512 * MIB)),
    make_model("big", spec=make_spec(layers=10, layer_bytes=512 * MIB)),
    make_model("huge", spec=make_spec(layers=60, layer_bytes=512 * MIB)),
    make_model("embed", capabilities=("embedding",)),
]
PARTITIONS = (cpu(16, name="first", free=10, limit=7), cpu(16, name="second", free=10, limit=8))
"""CPU devices whose limits together are more than the machine has."""
MACHINES: list[tuple[Device, ...]] = [
    (cpu(8),),
    (gpu(0, 8), cpu(16)),
    (gpu(0, 6), gpu(1, 8), cpu(4)),
    (gpu(0, 6), gpu(1, 8, kind="rocm"), cpu(4)),
    PARTITIONS,
    (*PARTITIONS, cpu(16, name="third", limit=1)),
    (gpu(0, 6), gpu(1, 6), *PARTITIONS),
    tuple(cpu(32, name=f"core{index}", limit=6, cores=(index,)) for index in range(4)),
]
POLICIES = [
    Policy(max_queue=3, gpu_margin=0, host_margin=0),
    Policy(max_loaded=1, num_parallel=1, max_queue=2, keep_alive=1),
    Policy(max_loaded=2, num_parallel=2, keep_alive=0),
    Policy(max_queue=0, num_parallel=3, spread=True),
    Policy(num_parallel=1, multi_gpu=MultiGpu(enabled=True), keep_alive=5, host_margin=0, gpu_margin=0),
    Policy(
        num_parallel=1,
        multi_gpu=MultiGpu(enabled=True, replicas=2, load_balancing="round_robin"),
        max_queue=3,
        host_margin=0,
    ),
    Policy(
        num_parallel=2,
        multi_gpu=MultiGpu(enabled=True, strategy="data", load_balancing="performance_aware"),
        keep_alive=1,
    ),
    Policy(num_parallel=2, multi_gpu=MultiGpu(enabled=True, strategy="pipeline"), keep_alive=1, host_margin=0),
    Policy(num_parallel=1, multi_gpu=MultiGpu(enabled=True, strategy="hybrid"), max_queue=9),
    Policy(num_parallel=1, multi_gpu=MultiGpu(enabled=True, strategy="tensor"), keep_alive=0, gpu_margin=0),
]


class Scheduling(RuleBasedStateMachine):
    """Feeds a core everything that can happen to it, in any order that the shell can produce."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tickets = 0
        self.waiting: set[int] = set()
        self.holding: dict[int, int] = {}
        self.loading: dict[int, LoadSpec] = {}
        self.ready: set[int] = set()
        self.unloading: set[int] = set()
        self.surveys = 0
        self.wake_at = float("inf")

    @initialize(machine=st.sampled_from(MACHINES), policy=st.sampled_from(POLICIES))
    def start(self, machine: Sequence[Device], policy: Policy) -> None:
        self.machine = machine
        self.core = Core(policy)
        self.send(events.DevicesChanged(machine))

    def send(self, event: Event) -> None:
        for command in self.core.handle(event, self.now):
            self.obey(command)

    def obey(self, command: Command) -> None:
        match command:
            case events.Grant(ticket, replica):
                self.waiting.remove(ticket)
                assert replica in self.ready
                self.holding[ticket] = replica
            case events.Refuse(ticket, _):
                self.waiting.remove(ticket)
            case events.Load(replica, spec):
                self.loading[replica] = spec
            case events.Unload(replica, _):
                assert replica not in self.holding.values()
                assert replica in self.loading or replica in self.ready
                self.loading.pop(replica, None)
                self.ready.discard(replica)
                self.unloading.add(replica)
            case events.Survey():
                self.surveys += 1
            case events.Wake(at):
                self.wake_at = at

    @rule(
        model=st.sampled_from(range(len(MODELS))),
        options=st.sampled_from([{}, {"num_ctx": 256}, {"num_gpu": 0}, {"num_gpu": 5}, {"main_gpu": 1}]),
        keep_alive=st.sampled_from([None, 0.0, 5.0, float("inf")]),
        client=st.sampled_from(["", "one", "two"]),
    )
    def want(self, model: int, options: dict[str, int], keep_alive: float | None, client: str) -> None:
        self.tickets += 1
        self.waiting.add(self.tickets)
        request = wish(MODELS[model], keep_alive=keep_alive, client=client)
        request = replace(request, options=request.options.updated(options))
        self.send(events.Wanted(self.tickets, request))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        tickets = sorted(self.waiting | self.holding.keys())
        if tickets:
            self.give_back(data.draw(st.sampled_from(tickets)))

    def give_back(self, ticket: int) -> None:
        self.waiting.discard(ticket)
        self.holding.pop(ticket, None)
        self.send(events.Left(ticket))

    @rule(data=st.data(), failure=st.sampled_from(["", "", "damaged file", "out of memory"]))
    def end_a_load(self, data: st.DataObject, failure: str) -> None:
        if self.loading:
            self.finish_load(data.draw(st.sampled_from(sorted(self.loading))), failure)

    def finish_load(self, replica: int, failure: str = "") -> None:
        spec = self.loading.pop(replica)
        if not failure:
            self.ready.add(replica)
            self.send(events.Loaded(replica, info_of(spec.plan)))
        else:
            self.send(events.LoadFailed(replica, LoadError(failure)))

    @rule(data=st.data())
    def end_an_unload(self, data: st.DataObject) -> None:
        if self.unloading:
            self.finish_unload(data.draw(st.sampled_from(sorted(self.unloading))))

    def finish_unload(self, replica: int) -> None:
        self.unloading.remove(replica)
        self.send(events.Unloaded(replica))

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if self.ready:
            replica = data.draw(st.sampled_from(sorted(self.ready)))
            self.ready.remove(replica)
            self.holding = {ticket: held for ticket, held in self.holding.items() if held != replica}
            self.send(events.ReplicaExited(replica))

    @rule()
    def end_a_survey(self) -> None:
        if self.surveys:
            self.surveys -= 1
            self.send(events.DevicesChanged(self.machine))

    @rule(seconds=st.floats(min_value=0, max_value=10))
    def elapse(self, seconds: float) -> None:
        self.now += seconds
        if self.wake_at <= self.now:
            self.wake_at = float("inf")
            self.send(events.Elapsed())

    @rule(model=st.sampled_from(range(len(MODELS))))
    def expire(self, model: int) -> None:
        self.send(events.Expired(MODELS[model]))

    @invariant()
    def queue_is_what_was_not_answered(self) -> None:
        assert self.core.waiting == len(self.waiting)

    @invariant()
    def plans_fit_their_devices(self) -> None:
        for device, size in planned_bytes(replica.plan for replica in self.core.replicas).items():
            assert size <= next(known.capacity_bytes for known in self.machine if known.id == device)

    @invariant()
    def cpu_devices_fit_their_machine(self) -> None:
        sizes = planned_bytes(replica.plan for replica in self.core.replicas)
        hosts = [device for device in self.machine if not device.is_gpu]
        assert sum(sizes.get(device.id, 0) for device in hosts) <= hosts[0].total_bytes

    @invariant()
    def replicas_of_a_model_are_on_devices_of_their_own_but_for_groups_of_a_split(self) -> None:
        holders = [
            (replica.key, device)
            for replica in self.core.replicas
            if replica.state != "unloading"
            for device in holding_devices(replica.plan)
            if replica.plan.groups == 1
        ]
        assert len(holders) == len(set(holders))

    @invariant()
    def leases_are_within_the_sequences(self) -> None:
        assert all(len(replica.leases) <= replica.plan.sequences for replica in self.core.replicas)

    def teardown(self) -> None:
        """Finish everything that is under way, again and again: in the end nobody may be left waiting."""
        for _ in range(20 * (self.tickets + 1)):
            if not self.waiting:
                break
            self.advance()
        assert not self.waiting
        for ticket in list(self.holding):
            self.give_back(ticket)

    def advance(self) -> None:
        for replica in list(self.loading):
            self.finish_load(replica)
        for ticket in list(self.holding):
            self.give_back(ticket)
        for replica in list(self.unloading):
            self.finish_unload(replica)
        for _ in range(self.surveys):
            self.end_a_survey()


TestScheduling = Scheduling.TestCase
TestScheduling.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def arrive(world: World, model: int, options: dict[str, int], client: str) -> None:
    world.want(wish(MODELS[model], client=client, **options))


ARRIVALS = st.tuples(
    st.integers(0, len(MODELS) - 1), st.sampled_from([{}, {"num_ctx": 256}]), st.sampled_from(["", "one", "two"])
)


@settings(max_examples=60, deadline=None)
@given(
    machine=st.sampled_from(MACHINES),
    policy=st.sampled_from([replace(policy, max_queue=1000) for policy in POLICIES]),
    arrivals=st.lists(ARRIVALS, min_size=1, max_size=12),
    position=st.integers(0, 8),
)
def test_nobody_starves_while_others_keep_coming(
    *,
    machine: tuple[Device, ...],
    policy: Policy,
    arrivals: list[tuple[int, dict[str, int], str]],
    position: int,
) -> None:
    """Every step brings a new request; everything granted or begun is finished; one ticket is watched."""
    world = World(policy, machine)
    steps = itertools.cycle(arrivals)
    for _ in range(position + 1):
        arrive(world, *next(steps))
    watched = world.tickets
    for _ in range(5 * (position + 2)):
        arrive(world, *next(steps))
        world.finish_all()
    assert watched in world.granted or watched in world.refused
