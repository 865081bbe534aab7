"""The asyncio shell: leases, cancellation, processes that die, and a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from pollama.clock import ManualClock
from pollama.errors import CanceledError, LoadError, PlacementError, QueueFullError, RunnerDiedError
from pollama.scheduler.policy import Policy
from pollama.scheduler.scheduler import ModelScheduler
from pollama.types.devices import Device
from pollama.types.ports import Lease, LeaseRequest
from pollama.types.requests import FOREVER
from tests.scheduler.support import TIGHT, FakeLauncher, FakeRunner, cpu, make_model, make_spec, wish

A, B = make_model("a"), make_model("b")


class Bench:
    """A scheduler with its stand-ins."""

    def __init__(self, policy: Policy = TIGHT) -> None:
        self.launcher = FakeLauncher()
        self.clock = ManualClock(1000.0)
        self.devices: Sequence[Device] = (cpu(16),)
        self.scheduler = ModelScheduler(policy, self.launcher, self._read, self.clock)

    async def _read(self) -> Sequence[Device]:
        return self.devices

    def waiting_room(self) -> int:
        """Return how many requests fill a replica of model A that nobody uses yet."""
        return TIGHT.num_parallel or TIGHT.max_sequences

    async def hold(self, request: LeaseRequest, release: asyncio.Event) -> FakeRunner:
        async with self.scheduler.acquire(request) as lease:
            await release.wait()
        assert isinstance(lease.runner, FakeRunner)
        return lease.runner

    async def use(self, request: LeaseRequest) -> Lease:
        async with self.scheduler.acquire(request) as lease:
            return lease


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.scheduler.start()
    yield bench
    await bench.scheduler.close()
    assert all(runner.closed for runner in bench.launcher.runners)


async def settle() -> None:
    """Let every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_lease_gives_a_ready_runner_and_is_counted(bench: Bench) -> None:
    async with bench.scheduler.acquire(wish(A)) as lease:
        assert lease.runner is bench.launcher.runners[0]
        assert bench.scheduler.residents()[0].in_use == 1
    assert bench.scheduler.residents()[0].in_use == 0


async def test_load_seconds_is_the_time_until_the_grant(bench: Bench) -> None:
    bench.launcher.gate = asyncio.Event()
    waiter = asyncio.create_task(bench.use(wish(A)))
    await settle()
    bench.clock.advance(7.5)
    bench.launcher.gate.set()
    assert (await waiter).load_seconds == 7.5
    assert (await bench.use(wish(A))).load_seconds == 0


async def test_cancelled_waiter_does_not_abort_a_load_that_others_want(bench: Bench) -> None:
    bench.launcher.gate = asyncio.Event()
    first = asyncio.create_task(bench.use(wish(A)))
    second = asyncio.create_task(bench.use(wish(A)))
    await settle()
    first.cancel()
    await settle()
    bench.launcher.gate.set()
    await second
    assert len(bench.launcher.started) == 1
    assert first.cancelled()


async def test_load_is_aborted_when_nobody_wants_it_any_more(bench: Bench) -> None:
    bench.launcher.gate = asyncio.Event()
    waiter = asyncio.create_task(bench.use(wish(A)))
    await settle()
    waiter.cancel()
    await settle()
    assert len(bench.launcher.aborted) == 1
    assert list(bench.scheduler.residents()) == []


async def test_load_that_is_dropped_before_it_began_leaves_nothing(bench: Bench) -> None:
    waiter = asyncio.create_task(bench.use(wish(A)))
    await asyncio.sleep(0)
    assert [resident.model for resident in bench.scheduler.residents()] == [A]
    assert bench.launcher.started == []
    await bench.scheduler.close()
    assert list(bench.scheduler.residents()) == []
    with pytest.raises(CanceledError):
        await waiter


async def test_grant_to_a_waiter_that_was_just_cancelled_is_not_lost(bench: Bench) -> None:
    release = asyncio.Event()
    holder = asyncio.create_task(bench.hold(wish(A), release))
    await settle()
    waiter = asyncio.create_task(bench.use(wish(A)))
    await settle()
    release.set()
    await holder
    waiter.cancel()
    await settle()
    assert bench.scheduler.residents()[0].in_use == 0
    await bench.use(wish(A))


async def test_error_inside_a_lease_gives_it_back(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bench.scheduler.acquire(wish(A)):
            raise ZeroDivisionError
    assert bench.scheduler.residents()[0].in_use == 0


async def test_load_error_reaches_all_waiters_and_the_next_request_tries_again(bench: Bench) -> None:
    bench.launcher.error = LoadError("cudaMalloc failed")
    results = await asyncio.gather(bench.use(wish(A)), bench.use(wish(A)), return_exceptions=True)
    assert [str(result) for result in results] == ["cudaMalloc failed"] * 2
    assert len(bench.launcher.started) == 1
    bench.launcher.error = None
    await bench.use(wish(A))
    assert len(bench.launcher.started) == 2


async def test_unexpected_failure_of_a_launch_is_a_load_error(bench: Bench) -> None:
    bench.launcher.error = OSError("no such program")
    with pytest.raises(LoadError, match="no such program"):
        await bench.use(wish(A))


async def test_dead_runner_is_replaced_for_the_next_request(bench: Bench) -> None:
    await bench.use(wish(A))
    bench.launcher.runners[0].die("signal 9")
    await settle()
    assert list(bench.scheduler.residents()) == []
    lease = await bench.use(wish(A))
    assert lease.runner is bench.launcher.runners[1]


async def test_runner_that_cannot_be_closed_is_forgotten(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.use(wish(A))

    async def broken() -> None:
        raise OSError("stuck")

    bench.launcher.runners[0].close = broken  # type: ignore[method-assign]
    await bench.scheduler.unload(A)
    await settle()
    assert list(bench.scheduler.residents()) == []
    assert "stuck" in caplog.text
    bench.launcher.runners[0].closed = True
    await bench.use(wish(A))


async def test_release_after_the_runner_died_is_harmless(bench: Bench) -> None:
    async with bench.scheduler.acquire(wish(A)):
        bench.launcher.runners[0].die("signal 9")
        await settle()
    async with bench.scheduler.acquire(wish(A)) as lease:
        assert lease.runner is bench.launcher.runners[1]


async def test_a_death_that_a_request_notices_first_sends_nobody_else_there(bench: Bench) -> None:
    """The request sees its broken stream before the scheduler sees the dead process, whose end takes a while."""
    closing = asyncio.Event()
    noticed = asyncio.Event()
    holder = asyncio.create_task(_notice_death(bench, noticed))
    await settle()
    _delay_close(bench.launcher.runners[0], closing)
    others = [asyncio.create_task(bench.use(wish(A))) for _ in range(bench.waiting_room())]
    await settle()
    noticed.set()
    with pytest.raises(RunnerDiedError):
        await holder
    closing.set()
    leases = await asyncio.gather(*others)
    assert all(lease.runner is bench.launcher.runners[1] for lease in leases)


async def test_a_death_that_several_requests_notice_does_not_interrupt_the_end_of_the_process(bench: Bench) -> None:
    """The first one's notice begins to close the runner; the second one's comes while that is under way."""
    await bench.scheduler.close()
    wide = Bench(replace(TIGHT, num_parallel=2))
    await wide.scheduler.start()
    noticed = [asyncio.Event(), asyncio.Event()]
    holders = [asyncio.create_task(_notice_death(wide, event)) for event in noticed]
    await settle()
    closing = asyncio.Event()
    _delay_close(wide.launcher.runners[0], closing)
    for event in noticed:
        event.set()
        await settle()
    closing.set()
    await asyncio.gather(*holders, return_exceptions=True)
    await settle()
    assert wide.launcher.runners[0].closed
    await wide.scheduler.close()


async def _notice_death(bench: Bench, noticed: asyncio.Event) -> None:
    async with bench.scheduler.acquire(wish(A)):
        await noticed.wait()
        raise RunnerDiedError("signal 9")


def _delay_close(runner: FakeRunner, until: asyncio.Event) -> None:
    close = runner.close

    async def delayed() -> None:
        await until.wait()
        await close()

    runner.close = delayed  # type: ignore[method-assign]


async def test_waiters_survive_a_death_while_they_wait(bench: Bench) -> None:
    release = asyncio.Event()
    holders = [asyncio.create_task(bench.hold(wish(A), release)) for _ in range(bench.waiting_room())]
    await settle()
    waiter = asyncio.create_task(bench.use(wish(A)))
    await settle()
    bench.launcher.runners[0].die("signal 9")
    release.set()
    assert (await waiter).runner is bench.launcher.runners[1]
    await asyncio.gather(*holders)


async def test_keep_alive_zero_unloads_after_use(bench: Bench) -> None:
    await bench.use(wish(A, keep_alive=0))
    await settle()
    assert bench.launcher.runners[0].closed
    assert list(bench.scheduler.residents()) == []


async def test_unload_spares_a_runner_in_use(bench: Bench) -> None:
    async with bench.scheduler.acquire(wish(A)):
        await bench.scheduler.unload(A)
        await settle()
        assert not bench.launcher.runners[0].closed
    await settle()
    assert bench.launcher.runners[0].closed


async def test_alarm_unloads_a_model_whose_keep_alive_has_run_out(bench: Bench) -> None:
    await bench.use(wish(A, keep_alive=0.001))
    bench.clock.advance(0.001)
    while bench.scheduler.residents():
        await asyncio.sleep(0)
    assert bench.launcher.runners[0].closed


async def test_residents_tell_expiry_in_unix_time_latest_first(bench: Bench) -> None:
    await bench.use(wish(A, keep_alive=60))
    bench.clock.advance(5)
    await bench.use(wish(B, keep_alive=FOREVER))
    residents = bench.scheduler.residents()
    assert [resident.model for resident in residents] == [B, A]
    assert [resident.expires_at for resident in residents] == [FOREVER, 1060.0]
    assert residents[0].gpu_bytes == 0
    assert residents[0].total_bytes == residents[0].plan.total_bytes


async def test_resident_in_its_first_use_would_expire_a_keep_alive_from_now(bench: Bench) -> None:
    async with bench.scheduler.acquire(wish(A, keep_alive=60)):
        bench.clock.advance(30)
        assert bench.scheduler.residents()[0].expires_at == 1090.0


async def test_full_queue_refuses(bench: Bench) -> None:
    await bench.scheduler.close()
    small = Bench(Policy(max_queue=1, max_loaded=1, num_parallel=1))
    await small.scheduler.start()
    release = asyncio.Event()
    holder = asyncio.create_task(small.hold(wish(A), release))
    await settle()
    second = asyncio.create_task(small.use(wish(A)))
    await settle()
    with pytest.raises(QueueFullError):
        await small.use(wish(A))
    release.set()
    await asyncio.gather(holder, second)
    await small.scheduler.close()


async def test_model_too_large_is_refused_with_the_numbers(bench: Bench) -> None:
    with pytest.raises(PlacementError, match=r"requires more memory \(25\.9 GiB .*cpu: 16\.0 of 16\.0 GiB"):
        await bench.use(wish(make_model("huge", spec=make_spec(layers=100, layer_bytes=1 << 28))))


async def test_close_refuses_who_waits_and_ends_all_processes(bench: Bench) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bench.scheduler.acquire(wish(A)))
        waiter = asyncio.create_task(bench.use(wish(A)))
        await settle()
        await bench.scheduler.close()
        with pytest.raises(CanceledError):
            await waiter
        assert bench.launcher.runners[0].closed
    with pytest.raises(CanceledError):
        await bench.use(wish(B))


async def test_close_aborts_a_load(bench: Bench) -> None:
    bench.launcher.gate = asyncio.Event()
    waiter = asyncio.create_task(bench.use(wish(A)))
    await settle()
    await bench.scheduler.close()
    assert len(bench.launcher.aborted) == 1
    with pytest.raises(CanceledError):
        await waiter


async def test_reading_that_fails_leaves_the_last_one(bench: Bench) -> None:
    await bench.use(wish(A))

    async def broken() -> Sequence[Device]:
        raise OSError("the driver is gone")

    bench.scheduler._devices = broken
    await bench.use(wish(B))
