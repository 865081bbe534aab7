"""What the server does between requests: it survives devices that cannot be read and measures those that come."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pollama.background import Background, busy_shares, repeated
from pollama.clock import SystemClock
from pollama.config import Config
from pollama.discover.cpu import cpu_device
from pollama.discover.devices import DeviceReader
from pollama.discover.speeds import SpeedBook
from pollama.discover.topology import Topology
from pollama.scheduler.policy import Policy
from pollama.scheduler.scheduler import ModelScheduler
from pollama.types.devices import Device, Telemetry
from pollama.types.multigpu import MultiGpu
from tests.runners.conftest import environment
from tests.scheduler.support import FakeLauncher, make_model, wish

CORE = min(os.sched_getaffinity(0))


async def test_what_fails_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0
    went_on = asyncio.Event()

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise OSError("no answer from the driver")
        went_on.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(repeated("watching devices", work, pause=0))
    await asyncio.wait_for(went_on.wait(), 30)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (attempts, caplog.messages) == (2, ["watching devices has failed; it goes on in 0 seconds"])


def test_devices_that_do_not_tell_their_load_are_left_out() -> None:
    readings = [Telemetry(device="a", time=1, utilisation=50.0), Telemetry(device="b", time=1)]
    assert busy_shares(readings) == {"a": 0.5}


def core(name: str) -> Device:
    """A CPU device of one core; all of them are the same core under different names."""
    return replace(cpu_device(), id=name, cores=(CORE,), cache_bytes=None)


class Machine(DeviceReader):
    """Reads the devices that a test plugs in, with the speeds that are known."""

    def __init__(self, config: Config, speeds: SpeedBook) -> None:
        super().__init__(config, speeds=speeds)
        self.plugged: Sequence[Device] = [core("first")]
        self.book = speeds

    async def read(self) -> list[Device]:
        return self.book.devices(self.plugged)

    async def glance(self) -> list[Device]:
        return await self.read()


@contextlib.asynccontextmanager
async def served(
    machine: Machine, config: Config, settings: MultiGpu
) -> AsyncIterator[tuple[Background, ModelScheduler]]:
    """Run the background tasks beside a scheduler with a loaded model that nobody uses."""
    links = Topology(machine.book).links
    scheduler = ModelScheduler(Policy(multi_gpu=settings), FakeLauncher(), machine.read, SystemClock(), links)
    await scheduler.start()
    background = Background(config, machine, machine.book, scheduler, look_seconds=0.05)
    try:
        async with background.running(links):
            async with scheduler.acquire(wish(make_model())):
                pass
            yield background, scheduler
    finally:
        await scheduler.close()


async def all_measured(machine: Machine) -> None:
    """Wait until the speed of all devices and of the links between them is known."""
    links = Topology(machine.book).links
    while True:
        devices = await machine.read()
        if all(device.bandwidth for device in devices) and all(link.bandwidth for link in links(devices)):
            return
        await asyncio.sleep(0.05)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=tmp_path, environ=environment())


@pytest.fixture
def machine(tmp_path: Path, config: Config) -> Machine:
    return Machine(config, SpeedBook(tmp_path / "speed.json"))


@pytest.mark.timeout(120)
async def test_a_device_that_comes_is_measured_with_its_links(machine: Machine, config: Config) -> None:
    async with served(machine, config, MultiGpu(enabled=True)):
        await all_measured(machine)
        machine.plugged = [core("first"), core("second")]
        await all_measured(machine)


@pytest.mark.timeout(120)
async def test_devices_are_measured_when_several_of_them_are_to_be_used(machine: Machine, config: Config) -> None:
    async with served(machine, config, MultiGpu()) as (background, scheduler):
        assert not machine.book.is_known(core("first"))
        await scheduler.reconfigure(MultiGpu(enabled=True))
        background.settings_changed()
        await all_measured(machine)
