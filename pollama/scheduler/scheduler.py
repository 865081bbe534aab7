"""The asyncio shell around the scheduler's core: feeds it events and carries out its commands.

Every command that takes time becomes a task that ends in another event. One task owns a replica's process from its
start to its end, so nothing can be left behind.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from pollama.clock import Clock
from pollama.errors import BadRequestError, LoadError, PlacementError, RunnerDiedError
from pollama.scheduler import events
from pollama.scheduler.balance import changes_to, occupied, plan_on
from pollama.scheduler.core import Core
from pollama.scheduler.events import Command, Event
from pollama.scheduler.fleet import by_target
from pollama.scheduler.placement import Refusal
from pollama.scheduler.policy import GIB, Policy
from pollama.scheduler.preview import preview
from pollama.scheduler.residency import Memory, planned_bytes
from pollama.scheduler.state import Replica, model_key
from pollama.types.devices import Device, DeviceUse, Link
from pollama.types.generation import RunnerStatus
from pollama.types.model import Model
from pollama.types.multigpu import MultiGpu
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Move, Plan, PlanPreview
from pollama.types.ports import Launcher, Lease, LeaseRequest, Resident, Runner

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplicaLease:
    """A replica in use. ``load_seconds`` is the time from the request until the grant."""

    runner: Runner
    load_seconds: float


class ModelScheduler:
    """Implements the ``Scheduler`` port for the replicas that ``launcher`` starts on ``devices``.

    ``devices`` reads all devices with their free memory; it is asked before loads. ``links`` tells what joins them,
    and may take its time.
    """

    def __init__(
        self,
        policy: Policy,
        launcher: Launcher,
        devices: Callable[[], Awaitable[Sequence[Device]]],
        clock: Clock,
        links: Callable[[Sequence[Device]], Sequence[Link]] | None = None,
    ) -> None:
        self._policy = policy
        self._core = Core(policy)
        self._launcher = launcher
        self._devices = devices
        self._links = links
        self._clock = clock
        self._tickets = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[int]] = {}
        self._runners: dict[int, Runner] = {}
        self._lives: dict[int, asyncio.Task[Event]] = {}
        self._tasks: set[asyncio.Task[Event]] = set()
        self._reading = events.DevicesChanged(())
        self._alarm: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Read the devices for the first time. Raises what the reading raises."""
        self._reading = await self._read()
        self._feed(self._reading)

    async def _read(self) -> events.DevicesChanged:
        devices = await self._devices()
        links = await asyncio.to_thread(self._links, devices) if self._links else ()
        return events.DevicesChanged(devices, links)

    async def close(self) -> None:
        """Refuse who waits, unload everything and return when all processes have ended."""
        self._feed(events.Closed())
        if self._alarm is not None:
            self._alarm.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    @asynccontextmanager
    async def acquire(self, request: LeaseRequest) -> AsyncIterator[Lease]:
        """Wait for a replica and hold it. Raises QueueFullError, PlacementError, LoadError or CanceledError."""
        begun = self._clock.monotonic()
        ticket, replica = await self._granted(request)
        try:
            yield ReplicaLease(self._runners[replica], self._clock.monotonic() - begun)
        except RunnerDiedError:
            self._bury(replica)
            raise
        finally:
            self._feed(events.Left(ticket))

    async def _granted(self, request: LeaseRequest) -> tuple[int, int]:
        """Return a ticket and its replica. One that died between the grant and now is waited for anew."""
        while True:
            ticket = next(self._tickets)
            granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._waiters[ticket] = granted
            try:
                self._feed(events.Wanted(ticket, request))
                replica = await granted
            except BaseException:
                self._forget(ticket)
                raise
            if replica in self._runners:
                del self._waiters[ticket]
                return ticket, replica
            self._forget(ticket)

    def _forget(self, ticket: int) -> None:
        del self._waiters[ticket]
        self._feed(events.Left(ticket))

    def _bury(self, replica: int) -> None:
        """Take a dead replica out of the core's hands at once, before anybody else is sent to it.

        All who used it find it dead; only the first ends its life, for a second time would interrupt its closing.
        """
        if self._runners.pop(replica, None) is not None:
            self._feed(events.ReplicaExited(replica))
            self._lives[replica].cancel()

    async def unload(self, model: Model) -> None:
        """Let a model's replicas expire now: idle ones leave at once, busy ones when they are done."""
        self._feed(events.Expired(model))

    def residents(self) -> Sequence[Resident]:
        """Return the replicas of the loaded models, latest expiry first."""
        now, today = self._clock.monotonic(), self._clock.time()
        found = [_resident(replica, self._core.memory_use(replica), now, today) for replica in self._core.replicas]
        return sorted(found, key=lambda resident: -resident.expires_at)

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        return self._core.waiting

    async def devices(self) -> Sequence[DeviceUse]:
        """Read all devices and return what is on them. Raises what the reading raises."""
        spaces = (await self._memory()).spaces(replica.plan for replica in self._core.replicas)
        return [
            DeviceUse(device=space.device, free_bytes=max(0, space.free), replicas=space.residents) for space in spaces
        ]

    async def preview(self, model: Model, options: Options) -> PlanPreview:
        """Return what would be done with a model; nothing is loaded. Raises what the reading raises."""
        return preview(model, options, await self._memory(), self._core.replicas, self._policy)

    async def reconfigure(self, settings: MultiGpu) -> None:
        """Obey other settings from now on; what is loaded stays until it is moved or leaves."""
        self._policy = replace(self._policy, multi_gpu=settings)
        self._feed(events.Reconfigured(self._policy))

    async def rebalance(self) -> Sequence[Move]:
        """Plan all loaded models anew and begin the moves that make them faster; return those. Requests finish."""
        memory = await self._memory()
        before = self._core.moves
        for group in by_target(self._core.movable()):
            lead = group[0]
            planned = preview(lead.model, lead.options, memory, self._core.replicas, self._policy, wish=lead.wish)
            changes = changes_to(group, planned.plans)
            if self._fit(memory, [change.plan for change in changes if change.plan]):
                for change in changes:
                    self._feed(events.Moved(change.replica.id, change.plan, change.reason))
        return [move for move in self._core.moves if move not in before]

    def _fit(self, memory: Memory, plans: Iterable[Plan]) -> bool:
        """Tell whether plans have room beside everything that is loaded: what they replace leaves afterwards only."""
        plans = list(plans)
        spaces = memory.spaces([*(replica.plan for replica in self._core.replicas), *plans])
        used = planned_bytes(plans)
        return all(space.free >= 0 for space in spaces if used.get(space.device.id))

    async def migrate(self, model: Model, devices: Sequence[str], *, replica: int | None = None) -> Move:
        """Begin to move a replica of ``model`` to ``devices``: the new one loads first.

        Raises BadRequestError for an unknown device or replica, PlacementError when it does not fit there.
        """
        memory = await self._memory()
        moving = self._movable(model, replica)
        targets = _device_ids(devices, memory.devices)
        if taken := occupied(targets, moving, self._core.replicas.of(moving.key)):
            raise BadRequestError(f"{taken} has a replica of {model.stored.short_name} already")
        spaces = memory.spaces(other.plan for other in self._core.replicas)
        plan = plan_on(moving, targets, spaces, self._policy, memory.known)
        if isinstance(plan, Refusal):
            raise PlacementError(plan.reason)
        self._feed(events.Moved(moving.id, plan, "asked for"))
        return next(move for move in self._core.moves if move.replica == moving.id)

    def _movable(self, model: Model, number: int | None) -> Replica:
        known = [replica for replica in self._core.movable() if replica.key == model_key(model)]
        found = [replica for replica in known if number in (None, replica.id)]
        if len(found) == 1:
            return found[0]
        if not known:
            raise BadRequestError(f"{model.stored.short_name} has no replica that could be moved")
        numbers = ", ".join(str(replica.id) for replica in known)
        raise BadRequestError(f"replica must be one of those of {model.stored.short_name} that are ready: {numbers}")

    def moves(self) -> Sequence[Move]:
        """Return the moves under way and the last ones that ended, newest first."""
        return self._core.moves

    @property
    def settings(self) -> MultiGpu:
        """The settings for several devices that count now."""
        return self._policy.multi_gpu

    def devices_changed(self, devices: Sequence[Device]) -> None:
        """Take in a reading that says something new: a device came or went, or its memory was taken."""
        self._reading = replace(self._reading, devices=devices)
        self._feed(self._reading)

    def measured(self, busy: Mapping[str, float]) -> None:
        """Take in the busy share of each device, 0 to 1."""
        self._feed(events.Measured(busy))

    def timed(self, statuses: Mapping[int, RunnerStatus]) -> None:
        """Take in how replicas do, to correct what is predicted."""
        self._feed(events.Timed(statuses))

    async def statuses(self, within: float = 2.0) -> Mapping[int, RunnerStatus]:
        """Ask all replicas that are ready how they do; those that do not answer ``within`` seconds are left out."""
        runners = dict(self._runners)
        asked = (asyncio.wait_for(runner.status(), within) for runner in runners.values())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = zip(runners, answers, strict=True)
        return {number: status for number, status in found if isinstance(status, RunnerStatus)}

    async def _memory(self) -> Memory:
        """Return what is free by a new reading, which the core does not rely on."""
        return self._core.memory_after(await self._read())

    def _feed(self, event: Event) -> None:
        for command in self._core.handle(event, self._clock.monotonic()):
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case events.Grant(ticket, replica):
                waiter = self._waiters[ticket]
                if not waiter.done():
                    waiter.set_result(replica)
            case events.Refuse(ticket, error):
                waiter = self._waiters[ticket]
                if not waiter.done():
                    waiter.set_exception(error)
            case events.Load(replica, spec):
                _log.info("loading %s as replica %d: %s", spec.weights, replica, _summary(spec.plan))
                life = self._spawn(self._live(replica, spec), events.Unloaded(replica))
                life.add_done_callback(lambda _: self._lives.pop(replica, None))
                self._lives[replica] = life
            case events.Unload(replica, reason):
                _log.info("unloading replica %d: %s", replica, reason)
                self._lives[replica].cancel()
            case events.Survey():
                self._spawn(self._survey(), self._reading)
            case events.Wake(at):
                self._set_alarm(at)

    def _spawn(self, work: Coroutine[None, None, Event], cancelled: Event) -> asyncio.Task[Event]:
        """Run ``work`` and feed the event that it returns, or ``cancelled``."""
        task = asyncio.get_running_loop().create_task(work, name=str(cancelled))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(done, cancelled))
        return task

    def _finish(self, task: asyncio.Task[Event], cancelled: Event) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._feed(cancelled)
        elif error := task.exception():
            _log.error("%s ended in an unexpected way", task.get_name(), exc_info=error)
            self._feed(cancelled)
        else:
            self._feed(task.result())

    async def _live(self, replica: int, spec: LoadSpec) -> Event:
        """Own one replica from start to end. Being cancelled is the request to end it."""
        try:
            runner = await self._launcher.launch(spec)
        except LoadError as error:
            return events.LoadFailed(replica, error)
        except Exception as error:
            _log.exception("a load failed in an unexpected way")
            return events.LoadFailed(replica, LoadError(str(error) or type(error).__name__))
        self._runners[replica] = runner
        try:
            self._feed(events.Loaded(replica, runner.info))
            _log.warning("replica %d has ended: %s", replica, await runner.wait_closed())
            self._feed(events.ReplicaExited(replica))
        finally:
            self._runners.pop(replica, None)
            await runner.close()
        return events.Unloaded(replica)

    async def _survey(self) -> Event:
        try:
            self._reading = await self._read()
        except Exception:
            _log.exception("the devices could not be read; the last reading stands")
        return self._reading

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(0.0, at - self._clock.monotonic())
        self._alarm = asyncio.get_running_loop().call_later(delay, self._feed, events.Elapsed())


def _device_ids(wanted: Sequence[str], devices: Sequence[Device]) -> list[str]:
    """Return the ids of devices that are named by id or name. Raises BadRequestError."""
    known = {**{device.name: device.id for device in devices}, **{device.id: device.id for device in devices}}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadRequestError(f"there is no device {unknown[0]!r}, only {', '.join(device.id for device in devices)}")
    return [known[name] for name in wanted]


def _resident(replica: Replica, use: tuple[int, int], now: float, today: float) -> Resident:
    """Describe a replica; one that has not been idle yet would expire a keep-alive from now."""
    expires_at = now + replica.keep_alive if replica.expires_at is None else replica.expires_at
    return Resident(
        model=replica.model,
        plan=replica.plan,
        info=replica.info,
        expires_at=expires_at - now + today,
        total_bytes=use[0],
        gpu_bytes=use[1],
        in_use=len(replica.leases),
        replica=replica.id,
        state=replica.state,
    )


def _summary(plan: Plan) -> str:
    """Return a plan in one line of the log."""
    cells = f"{plan.cells} shared cells" if plan.shared_cells else "cells of its own for each"
    return (
        f"{plan.reason}; {plan.total_bytes / GIB:.1f} GiB; {plan.sequences} sequences of "
        f"{plan.context_length} tokens, {cells}"
    )
