"""All decisions of the scheduler: a plain state machine without waiting, input, output or a clock.

``handle`` records one event and then goes through the waiting tickets, in the order of the fair queue, with the one
decision tree there is:

 1. a ticket with the same needs waits already: wait behind it;
 2. a ready replica serves it, has a free sequence and is not claimed by a ticket before it: **grant**;
 3. a replica that serves it loads, is full or is claimed: wait for it;
 4. a ticket before it waits for the same model with other options: wait;
 5. the reading of free memory is old: **survey**, wait;
 6. it fits nowhere, even if everything else left: **refuse**, with the numbers;
 7. it fits beside what is there, and the model is not there with other options: **load**;
 8. it fits once others have left: **unload** the idle ones of them, claim the busy ones, which take no new requests
    until they are idle; keep the memory for the ticket; wait;
 9. tickets before it have claimed what it needs: wait.

After that, where the policy allows replicas:

10. nobody waits for memory, the replicas of a model do not suffice, and a device that has none of them has room for
    one more just like them: **load** (after a **survey**, when the reading is old);
11. a device has been too busy for too long, and another one takes a replica of it: **load** there, then drain.

And then: a ticket that has just come and found too many waiting is **refused**, idle replicas whose keep-alive has
run out and loads that nobody wants any more are **unloaded**.

A replica serves everybody who was waiting when it became ready before it makes room for another, so that models (or
options) that take turns on a small device do not swap for every request; and nobody waits for ever, since later
tickets stand behind the claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import assert_never

from pollama.errors import BadRequestError, CanceledError, PlacementError, PollamaError, QueueFullError
from pollama.scheduler import events
from pollama.scheduler.balance import BusyDevices, relief
from pollama.scheduler.capacity import context_lengths
from pollama.scheduler.demand import ServiceTimes
from pollama.scheduler.events import Command, Event, ReplicaEvent
from pollama.scheduler.fleet import Fleet
from pollama.scheduler.loading import load_spec, was_out_of_memory
from pollama.scheduler.moves import Moves
from pollama.scheduler.placement import Refusal
from pollama.scheduler.policy import Policy
from pollama.scheduler.queue import FairQueue
from pollama.scheduler.residency import (
    Memory,
    change_keep_alive,
    has_expired,
    holding_devices,
    next_deadline,
    set_deadline,
)
from pollama.scheduler.room import Placer, Room
from pollama.scheduler.round import Round
from pollama.scheduler.rules import ruled_options, ruled_wish
from pollama.scheduler.scaling import pick, plan_another, wants_another
from pollama.scheduler.state import Held, Replica, Target, Ticket, model_key
from pollama.scheduler.timing import learn
from pollama.types.model import Model
from pollama.types.multigpu import Wish
from pollama.types.options import Options
from pollama.types.plans import Move, Plan
from pollama.types.ports import LeaseRequest


class Core:
    """The state of the scheduler. Not thread-safe; nothing in it waits."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memory = Memory(policy)
        self._placer = Placer(self._memory)
        self._queue = FairQueue()
        self._replicas = Fleet()
        self._leases: dict[int, int] = {}
        self._grants = 0
        self._now = 0.0
        self._wake_at = float("inf")
        self._trusted_until = float("-inf")
        self._surveying = False
        self._closed = False
        self._pauses: dict[Target, float] = {}
        self._moves = Moves()
        self._busy = BusyDevices()
        self._service_times = ServiceTimes()
        self._commands: list[Command] = []
        self._round = Round()

    @property
    def replicas(self) -> Fleet:
        """The loads that take memory now, in whatever state."""
        return self._replicas

    @property
    def waiting(self) -> int:
        """Number of tickets in the queue."""
        return len(self._queue)

    @property
    def moves(self) -> list[Move]:
        """The moves under way and the last ones that ended, newest first."""
        return self._moves.records()

    def movable(self) -> list[Replica]:
        """Return the replicas that are ready, here to stay, and not about to move."""
        return [replica for replica in self._replicas if replica.serves_on and not self._moves.concerns(replica)]

    def memory_after(self, reading: events.DevicesChanged) -> Memory:
        """Return what is free by a new reading, on which nothing here relies."""
        return self._memory.after(reading.devices, self._replicas, reading.links)

    def memory_use(self, replica: Replica) -> tuple[int, int]:
        """Return the bytes that a replica takes in all, and on GPUs."""
        return self._memory.use(replica)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in one event at the monotonic time ``now`` and return what is to be done."""
        self._now = now
        self._commands = []
        self._record(event)
        self._advance()
        return self._commands

    def _record(self, event: Event) -> None:
        match event:
            case events.Wanted(ticket, request):
                self._queue.push(ticket, self._ruled(request), self._now)
            case events.Left(ticket):
                self._leave(ticket)
            case events.Expired(model):
                self._expire(model)
            case events.DevicesChanged(devices, links):
                self._memory.read(devices, self._replicas, links)
                self._placer.forget()
                self._leave_lost_devices()
                self._surveying = False
                self._trust_books()
            case events.Measured(busy):
                self._busy.measured(busy, self._policy.multi_gpu.migration, self._now)
                self._relieve()
            case events.Timed(statuses):
                learn(self._memory, self._replicas.ready(), statuses, self._policy)
                self._placer.forget()
            case events.Reconfigured(policy):
                self._policy = policy
                self._placer.forget()
                for waiting in self._queue.ordered():
                    waiting.ask(self._ruled(waiting.request))
            case events.Elapsed():
                self._wake_at = float("inf")
            case events.Closed():
                self._close()
            case _:
                self._record_of_replica(event)

    def _record_of_replica(self, event: ReplicaEvent) -> None:
        match event:
            case events.Loaded(number, info):
                replica = self._replicas[number]
                if replica.state == "loading":
                    replica.state, replica.info, replica.newest_waiter = "ready", info, self._queue.newest()
                    self._moves.loaded(replica)
                self._trusted_until = self._now
            case events.LoadFailed(number, error):
                replica = self._replicas[number]
                self._replicas.pop(number)
                self._moves.gone(replica)
                self._fail(replica, error)
            case events.Unloaded(number) | events.ReplicaExited(number):
                self._remove(number)
            case events.Moved(number, plan, reason):
                replica = self._replicas[number]
                if replica.serves_on:
                    self._move(replica, plan, reason)
            case _:
                assert_never(event)

    def _ruled(self, request: LeaseRequest) -> LeaseRequest:
        """Return a request with what the settings make of its options and its wish."""
        options = ruled_options(request.model, request.options, self._policy)
        return replace(request, options=options, wish=ruled_wish(request.wish, self._memory.devices, self._policy))

    def _leave_lost_devices(self) -> None:
        """Send nobody to a replica whose device is gone; what is in flight there fails or ends by itself."""
        present = {device.id for device in self._memory.devices}
        for replica in self._replicas:
            replica.draining |= not present.issuperset(holding_devices(replica.plan))

    def _leave(self, ticket: int) -> None:
        self._queue.drop(ticket)
        replica = self._replicas.get(self._leases.pop(ticket, None))
        if replica is None:
            return
        held = replica.leases.pop(ticket)
        self._service_times.served(replica.target, self._now - held.since)
        if not replica.leases:
            set_deadline(replica, self._now, self._spare_time(replica))

    def _remove(self, number: int) -> None:
        replica = self._replicas.pop(number)
        if replica is not None:
            self._moves.gone(replica)
            if not self._replicas.group(replica):
                self._service_times.forget(replica.target)
        self._trust_books()

    def _move(self, replica: Replica, plan: Plan | None, reason: str) -> None:
        """Begin a move: what is there serves until the new replica is ready."""
        heir = None if plan is None else self._heir(replica, plan)
        if heir is not None:
            heir.left_devices = replica.left_devices.union(holding_devices(replica.plan))
        self._moves.begin(replica, heir, reason)

    def _expire(self, model: Model) -> None:
        for replica in self._replicas.of(model_key(model)):
            replica.keep_alive = 0
            replica.expires_at = self._now

    def _fail(self, replica: Replica, error: PollamaError) -> None:
        """Refuse those who waited for a load that failed; once, when memory was short, let them try a smaller one.

        Where other replicas of the model are left, they serve on, and no more are tried for a while.
        """
        if self._replicas.group(replica):
            running = {target: until for target, until in self._pauses.items() if until > self._now}
            self._pauses = running | {replica.target: self._now + self._policy.replica_pause}
            return
        may_retry = was_out_of_memory(error) and not replica.is_retry
        for ticket in self._queue.ordered():
            if self._serves(replica, ticket):
                if may_retry and (len(self._context_lengths(ticket)) > 1 or self._replicas):
                    ticket.cautious = True
                else:
                    self._refuse(ticket, error)

    def _close(self) -> None:
        self._closed = True
        for replica in self._replicas:
            if replica.state != "unloading":
                self._unload(replica, "the server stops")

    def _advance(self) -> None:
        self._round = Round()
        self._grant_from_fresh()
        for ticket in self._queue.ordered():
            self._decide(ticket)
        self._scale_out()
        self._shed()
        self._retire()
        self._set_alarm()

    def _grant_from_fresh(self) -> None:
        """Serve those for whom a replica was loaded, before anybody may claim it."""
        ready = [replica for replica in self._replicas if replica.newest_waiter and replica.has_room]
        for ticket in self._queue.ordered() if ready else ():
            fresh = [replica for replica in ready if ticket.id <= replica.newest_waiter and replica.has_room]
            fresh = [replica for replica in fresh if self._serves(replica, ticket)]
            if fresh:
                self._grant(ticket, self._pick(ticket, fresh))

    def _decide(self, ticket: Ticket) -> None:
        """Go through the decision tree of the module's docstring for one waiting ticket."""
        if self._closed:
            self._refuse(ticket, CanceledError())
            return
        if ticket.target in self._round.waiting:  # 1
            return
        serving = [replica for replica in self._replicas if self._serves(replica, ticket)]
        free = [replica for replica in serving if replica.has_room and replica not in self._round.claimed]
        if free:  # 2
            self._grant(ticket, self._pick(ticket, free))
        elif serving:  # 3
            loading = any(replica.state == "loading" for replica in serving)
            self._round.wait(ticket, provided=loading)
        elif ticket.key in self._round.promised:  # 4
            self._round.wait(ticket, provided=False)
        elif self._needs_survey():  # 5
            self._round.wait(ticket, provided=True)
            self._survey()
        else:
            self._provide(ticket)

    def _provide(self, ticket: Ticket) -> None:
        """Start what is needed for a ticket that no replica serves."""
        room = Room(ticket, self._placer, self._policy, self._round.kept)
        ideal = room.alone()
        if isinstance(ideal, Refusal):  # 6
            self._refuse(ticket, (BadRequestError if ideal.is_mistake else PlacementError)(ideal.reason))
            return
        rivals = [replica for replica in self._replicas.of(ticket.key) if replica.stays]
        others = [replica for replica in self._replicas if replica.state != "unloading" and replica not in rivals]
        plan = None if rivals else room.beside(self._replicas, ideal)
        cleared = None if plan else room.in_place_of_some(others, ideal)
        self._round.crowded |= plan is None
        if plan is not None:  # 7
            self._load_for(ticket, plan)
        elif cleared is not None:  # 8
            kept, victims = cleared
            self._clear(kept, [*rivals, *victims])
        self._round.promised.add(ticket.key)
        self._round.wait(ticket, provided=plan is not None or cleared is not None)  # else 9

    def _clear(self, plan: Plan, leaving: list[Replica]) -> None:
        self._round.kept.append(plan)
        for replica in leaving:
            if replica.is_idle:
                self._unload(replica, "a request needs its place, for another model or with other options")
            else:
                self._round.claimed.append(replica)

    def _scale_out(self) -> None:
        """Load one more replica of each model that needs it."""
        if not self._policy.multi_gpu.enabled or self._closed or self._round.crowded:
            return
        counts = Counter(ticket.target for ticket in self._queue.ordered())
        firsts = {ticket.target: ticket for ticket in reversed(self._queue.ordered())}
        for lead in self._replicas.leads():
            waiting = [ticket for ticket in firsts.values() if self._serves(lead, ticket)]
            since = min((ticket.since for ticket in waiting), default=self._now)
            if self._extend(lead, sum(counts[ticket.target] for ticket in waiting), since):
                self._round.provided.update(ticket.id for ticket in waiting)

    def _extend(self, lead: Replica, waiting: int, since: float) -> bool:
        """Load replicas like ``lead`` for ``waiting`` tickets, or survey for them; tell whether that is under way."""
        under_way = False
        while wants_another(
            self._replicas.group(lead), self._worth_loading(lead, waiting, since), self._policy, self._memory.devices
        ):
            plan = plan_another(lead, self._replicas, self._memory, self._policy)
            if plan is None or self._pauses.get(lead.target, 0) > self._now:
                break
            under_way = True
            if self._needs_survey():
                self._survey()
                break
            self._heir(lead, plan)  # 10
            for replica in self._replicas.group(lead):
                replica.extended_at = self._grants
        return under_way

    def _worth_loading(self, lead: Replica, waiting: int, since: float) -> int:
        """Return ``waiting``, or 0 where the last of them is served before another replica could be loaded.

        Those in use may last longer than the ones before them: nobody relies on that for longer than a load takes.
        """
        sequences = sum(replica.plan.sequences for replica in self._replicas.group(lead))
        loading = lead.info.load_seconds if lead.info else 0.0
        due = since + loading
        if self._now >= due or self._service_times.wait(lead.target, waiting, sequences) >= loading:
            return waiting
        if waiting:
            self._round.due = min(self._round.due, due)
        return 0

    def _relieve(self) -> None:
        """Move a replica away from a device that has been too busy for too long."""
        for device in self._busy.overloaded(self._policy.multi_gpu.migration, self._now):
            movable = [replica for replica in self.movable() if device in holding_devices(replica.plan)]
            change = relief(
                device, movable, fleet=self._replicas, busy=self._busy.shares, memory=self._memory, policy=self._policy
            )
            if change is not None:
                self._busy.relieved(self._now)
                self._move(change.replica, change.plan, change.reason)
                return

    def _pick(self, ticket: Ticket, free: Collection[Replica]) -> Replica:
        return pick(free, ticket.request, self._policy, self._memory.devices)

    def _grant(self, ticket: Ticket, replica: Replica) -> None:
        replica.leases[ticket.id] = Held(self._now, ticket.request.tokens)
        replica.prefixes.add(ticket.request.prefixes)
        self._grants += 1
        replica.last_choice = self._grants
        if ticket.request.keep_alive is not None:
            for sibling in self._replicas.group(replica):
                change_keep_alive(sibling, ticket.request.keep_alive, self._spare_time(sibling))
        self._leases[ticket.id] = replica.id
        self._queue.serve(ticket)
        self._commands.append(events.Grant(ticket.id, replica.id))

    def _refuse(self, ticket: Ticket, error: PollamaError) -> None:
        self._queue.drop(ticket.id)
        self._commands.append(events.Refuse(ticket.id, error))

    def _load_for(self, ticket: Ticket, plan: Plan) -> None:
        request = ticket.request
        keep_alive = self._policy.keep_alive if request.keep_alive is None else request.keep_alive
        self._load(request.model, request.options, plan, keep_alive, wish=request.wish, is_retry=ticket.cautious)

    def _heir(self, replica: Replica, plan: Plan) -> Replica:
        return self._load(replica.model, replica.options, plan, replica.keep_alive, wish=replica.wish)

    def _load(
        self,
        model: Model,
        options: Options,
        plan: Plan,
        keep_alive: float,
        *,
        wish: Wish,
        is_retry: bool = False,
    ) -> Replica:
        mapped = self._replicas.mapped_bytes()
        number = self._replicas.next_number()
        replica = Replica(number, model, options, plan, keep_alive, last_used=self._now, wish=wish, is_retry=is_retry)
        self._replicas.add(replica)
        spec = load_spec(model, options, plan, self._memory.devices, self._policy, mapped_bytes=mapped)
        self._commands.append(events.Load(replica.id, spec))
        return replica

    def _unload(self, replica: Replica, reason: str) -> None:
        replica.state = "unloading"
        self._commands.append(events.Unload(replica.id, reason))

    def _trust_books(self) -> None:
        """Rely on the last reading and the plans for a while: after an unload, memory comes back a moment late."""
        self._trusted_until = self._now + self._policy.reading_lifetime

    def _needs_survey(self) -> bool:
        """Tell whether memory must be read before a load; not while loads or unloads would blur the reading."""
        if self._surveying:
            return True
        in_motion = any(replica.state != "ready" for replica in self._replicas)
        return not in_motion and self._now >= self._trusted_until

    def _survey(self) -> None:
        if not self._surveying:
            self._surveying = True
            self._commands.append(events.Survey())

    def _shed(self) -> None:
        """Refuse a newcomer when more tickets wait than may; those that are provided for do not count."""
        waiting = [ticket for ticket in self._queue.ordered() if ticket.id not in self._round.provided]
        for ticket in waiting:
            if not ticket.admitted and len(waiting) > self._policy.max_queue:
                self._refuse(ticket, QueueFullError())
        for ticket in self._queue.ordered():
            ticket.admitted = True

    def _retire(self) -> None:
        for replica in self._replicas:
            if replica.is_idle and replica.expires_at is None:
                set_deadline(replica, self._now, self._spare_time(replica))
            if replica.is_idle and replica.draining:
                self._unload(replica, "another one has taken its place, or its device is gone")
            elif has_expired(replica, self._now):
                self._let_go(replica)
            elif replica.state == "loading" and not self._is_wanted(replica):
                self._unload(replica, "nobody waits for it any more")

    def _let_go(self, replica: Replica) -> None:
        """Unload a replica whose time is over; the last one of a model has all of its keep-alive."""
        if len(self._replicas.group(replica)) > 1:
            self._unload(replica, "it has not been needed for a while")
        elif replica.last_used + replica.keep_alive > self._now:
            replica.expires_at = replica.last_used + replica.keep_alive
        else:
            self._unload(replica, "its keep-alive has run out")

    def _spare_time(self, replica: Replica) -> float:
        """Return how long a replica may be idle before it is one too many."""
        return self._policy.scale_in if len(self._replicas.group(replica)) > 1 else float("inf")

    def _is_wanted(self, replica: Replica) -> bool:
        """Tell whether somebody waits for a load, it is part of a move, or one more of a model that is in use."""
        if replica.draining:
            return False
        if self._moves.awaits(replica) or any(sibling.leases for sibling in self._replicas.group(replica)):
            return True
        return any(self._serves(replica, ticket) for ticket in self._queue.ordered())

    def _set_alarm(self) -> None:
        deadline = min(next_deadline(self._replicas), self._round.due)
        if deadline != self._wake_at and deadline != float("inf"):
            self._wake_at = deadline
            self._commands.append(events.Wake(deadline))

    def _serves(self, replica: Replica, ticket: Ticket) -> bool:
        return replica.key == ticket.key and replica.serves(ticket, self._context_lengths(ticket)[0])

    def _context_lengths(self, ticket: Ticket) -> list[int]:
        request = ticket.request
        return context_lengths(request.model, request.options, self._policy, self._memory.devices)
