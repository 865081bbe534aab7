"""Invariants of the core under random sequences of events.

Whatever happens: every ticket ends exactly once; nothing that is used is unloaded; the plans in memory fit into what
was free without them; and when requests stop coming and everything under way is finished, nobody waits any more, no
move is under way, and what has a keep-alive has left after it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pollama.errors import LoadError
from pollama.scheduler import events
from pollama.scheduler.balance import plan_on
from pollama.scheduler.core import Core
from pollama.scheduler.events import Command, Event
from pollama.scheduler.fitting import Space
from pollama.scheduler.policy import MIB, Policy
from pollama.scheduler.residency import holding_devices, planned_bytes
from pollama.scheduler.state import Replica
from pollama.types.devices import Device
from pollama.types.multigpu import Migration, MultiGpu, Wish
from pollama.types.plans import LoadSpec, Plan
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
    Policy(
        num_parallel=2,
        multi_gpu=MultiGpu(enabled=True, replicas=1, migration=Migration(enabled=True, threshold=0.5, cooldown=5)),
        scale_in=3,
    ),
]
WISHES = [
    Wish(),
    Wish(),
    Wish(strategy="data"),
    Wish(strategy="pipeline"),
    Wish(strategy="tensor", profile="latency"),
    Wish(strategy="hybrid"),
    Wish(devices=("0",)),
    Wish(devices=("cuda-1", "second")),
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
        self.lost: set[str] = set()
        self.taken: dict[int, float] = {}
        self.unloading: set[int] = set()
        self.surveys = 0
        self.wake_at = float("inf")

    @initialize(machine=st.sampled_from(MACHINES), policy=st.sampled_from(POLICIES))
    def start(self, machine: Sequence[Device], policy: Policy) -> None:
        self.machine = machine
        self.policy = policy
        self.core = Core(policy)
        self.send(events.DevicesChanged(machine))

    def reading(self) -> list[Device]:
        """Return what a look at the devices shows: loads and unloads under way hold a part of their memory."""
        held: Counter[str] = Counter()
        for replica in self.core.replicas:
            for device, size in planned_bytes([replica.plan]).items():
                held[device] += int(size * (1.0 if replica.state == "ready" else self.taken.get(replica.id, 0.0)))
        on_host = sum(held[device.id] for device in self.machine if not device.is_gpu)
        return [
            replace(device, free_bytes=max(0, device.free_bytes - (held[device.id] if device.is_gpu else on_host)))
            for device in self.machine
            if device.id not in self.lost
        ]

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
        asked=st.sampled_from(WISHES),
    )
    def want(self, model: int, options: dict[str, int], keep_alive: float | None, client: str, asked: Wish) -> None:
        self.tickets += 1
        self.waiting.add(self.tickets)
        request = wish(MODELS[model], keep_alive=keep_alive, client=client)
        request = replace(request, options=request.options.updated(options), wish=asked)
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
            self.send(events.DevicesChanged(self.reading()))

    @rule(data=st.data())
    def notice_memory(self, data: st.DataObject) -> None:
        """The watcher looks while loads and unloads are under way."""
        for replica in sorted(self.loading.keys() | self.unloading):
            self.taken[replica] = data.draw(st.floats(0, 1))
        self.send(events.DevicesChanged(self.reading()))

    @rule(data=st.data())
    def lose_or_find_a_gpu(self, data: st.DataObject) -> None:
        gpus = [device.id for device in self.machine if device.is_gpu]
        if gpus:
            self.lost ^= {data.draw(st.sampled_from(gpus))}
            self.send(events.DevicesChanged(self.reading()))

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Move a replica as the shell does: to where a plan has room beside everything that is there."""
        movable = self.core.movable()
        if not movable:
            return
        replica = data.draw(st.sampled_from(movable))
        memory = self.core.memory_after(events.DevicesChanged(self.reading()))
        spaces = memory.spaces(other.plan for other in self.core.replicas)
        targets = data.draw(st.lists(st.sampled_from([device.id for device in memory.devices]), min_size=1))
        plan = plan_on(replica, targets, free_of(self.core.replicas.of(replica.key), spaces), self.policy)
        if isinstance(plan, Plan):
            self.send(events.Moved(replica.id, plan, "asked for"))

    @rule(data=st.data())
    def give_up_a_replica(self, data: st.DataObject) -> None:
        movable = self.core.movable()
        if movable:
            self.send(events.Moved(data.draw(st.sampled_from(movable)).id, None, "not needed"))

    @rule(data=st.data())
    def measure(self, data: st.DataObject) -> None:
        busy = {device.id: data.draw(st.sampled_from([0.0, 0.1, 0.9])) for device in self.machine}
        self.send(events.Measured(busy))

    @rule(policy=st.sampled_from(POLICIES))
    def reconfigure(self, policy: Policy) -> None:
        self.policy = replace(self.policy, multi_gpu=policy.multi_gpu)
        self.send(events.Reconfigured(self.policy))

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
            known = next(known for known in self.machine if known.id == device)
            assert size <= min(known.capacity_bytes, known.free_bytes)

    @invariant()
    def cpu_devices_fit_their_machine(self) -> None:
        sizes = planned_bytes(replica.plan for replica in self.core.replicas)
        hosts = [device for device in self.machine if not device.is_gpu]
        assert sum(sizes.get(device.id, 0) for device in hosts) <= hosts[0].free_bytes

    @invariant()
    def replicas_of_a_model_are_on_devices_of_their_own_but_for_groups_of_a_split(self) -> None:
        holders = [
            (replica.key, device)
            for replica in self.core.replicas
            if replica.stays and replica.plan.groups == 1
            for device in holding_devices(replica.plan)
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
        for _ in range(4):
            self.advance()
        assert not any(move.state in {"loading", "draining"} for move in self.core.moves)
        self.expire_all()
        assert all(replica.keep_alive == float("inf") for replica in self.core.replicas)
        assert all(replica.stays for replica in self.core.replicas)

    def expire_all(self) -> None:
        while self.wake_at < float("inf"):
            self.now, self.wake_at = max(self.now, self.wake_at), float("inf")
            self.send(events.Elapsed())
            self.advance()

    def advance(self) -> None:
        for replica in list(self.loading):
            self.finish_load(replica)
        for ticket in list(self.holding):
            self.give_back(ticket)
        for replica in list(self.unloading):
            self.finish_unload(replica)
        for _ in range(self.surveys):
            self.end_a_survey()


def free_of(group: Sequence[Replica], spaces: Sequence[Space]) -> list[Space]:
    """Return spaces without room where a replica of the group is."""
    held = {device for replica in group for device in holding_devices(replica.plan)}
    return [replace(space, free=0) if space.device.id in held else space for space in spaces]


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


def test_who_waits_for_devices_is_served_when_several_devices_are_turned_off() -> None:
    state = Scheduling()
    state.start(MACHINES[2], POLICIES[0])
    state.elapse(seconds=5.0)
    state.reconfigure(policy=POLICIES[4])
    state.want(asked=Wish(devices=("0",)), client="", keep_alive=None, model=0, options={})
    state.reconfigure(policy=POLICIES[0])
    state.teardown()
