"""The shell under requests, cancellations, deaths, lost devices and moves at random: nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from pollama.clock import ManualClock
from pollama.errors import LoadError, PollamaError, RunnerDiedError
from pollama.scheduler.policy import MIB
from pollama.scheduler.scheduler import ModelScheduler
from pollama.types.devices import Device
from pollama.types.multigpu import Migration, MultiGpu
from pollama.types.plans import LoadSpec
from pollama.types.requests import FOREVER
from tests.scheduler.support import TIGHT, FakeLauncher, FakeRunner, cpu, gpu, make_model, make_spec, wish

MODELS = [make_model(f"m{layers}", spec=make_spec(layers=layers, layer_bytes=128 * MIB)) for layers in (4, 8, 16)]
DEVICES = (gpu(0, 3), gpu(1, 3), cpu(4, name="core0", cores=(0,)), cpu(4, name="core1", cores=(1,)))
SEVERAL = MultiGpu(enabled=True, migration=Migration(enabled=True, threshold=0.5, cooldown=5))
STEPS = 120


class Moody(FakeLauncher):
    """Takes its time, and fails at times."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    async def launch(self, spec: LoadSpec) -> FakeRunner:
        await some_turns(self._dice, 4)
        self.error = LoadError(self._dice.choice(("out of memory", "broken"))) if self._dice.random() < 0.1 else None
        return await super().launch(spec)


async def some_turns(dice: random.Random, most: int) -> None:
    for _ in range(dice.randint(0, most)):
        await asyncio.sleep(0)


class Chaos:
    """Does this and that with a scheduler."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = ManualClock(1000.0)
        self.launcher = Moody(self.dice)
        self.present: Sequence[Device] = DEVICES
        settings = replace(SEVERAL, enabled=seed % 2 == 0)
        policy = replace(TIGHT, num_parallel=2, max_queue=8, max_loaded=seed % 3, multi_gpu=settings)
        self.scheduler = ModelScheduler(policy, self.launcher, self._read, self.clock)
        self.users: list[asyncio.Task[None]] = []
        self._deeds: list[Callable[[], Awaitable[object]]] = [
            *[self._come] * 8,
            *[self._give_up] * 2,
            *[self._die] * 2,
            self._pass_time,
            self._lose_devices,
            self._move,
            self.scheduler.rebalance,
            self._measure,
            self._reconfigure,
            lambda: self.scheduler.unload(self.dice.choice(MODELS)),
        ]

    async def run(self) -> None:
        await self.scheduler.start()
        for _ in range(STEPS):
            with suppress(PollamaError):
                await self.dice.choice(self._deeds)()
            await some_turns(self.dice, 3)
        await self.scheduler.close()
        await asyncio.gather(*self.users, return_exceptions=True)

    async def _read(self) -> Sequence[Device]:
        await asyncio.sleep(0)
        return self.present

    async def _come(self) -> None:
        self.users.append(asyncio.create_task(self._use()))

    async def _use(self) -> None:
        keep_alive = self.dice.choice((None, 0.0, 5.0, FOREVER))
        request = wish(self.dice.choice(MODELS), keep_alive=keep_alive, client=self.dice.choice("ab"))
        async with self.scheduler.acquire(request):
            await some_turns(self.dice, 8)
            if self.dice.random() < 0.1:
                raise RunnerDiedError("its connection broke")

    async def _give_up(self) -> None:
        if self.users:
            self.dice.choice(self.users).cancel()

    async def _die(self) -> None:
        alive = [runner for runner in self.launcher.runners if not runner.ended]
        if alive:
            self.dice.choice(alive).die("signal: killed")

    async def _pass_time(self) -> None:
        self.clock.advance(self.dice.choice((0.5, 6.0, 61.0)))

    async def _lose_devices(self) -> None:
        self.present = [device for device in DEVICES if self.dice.random() < 0.8] or DEVICES
        self.scheduler.devices_changed(self.present)

    async def _move(self) -> None:
        await self.scheduler.migrate(self.dice.choice(MODELS), [self.dice.choice(DEVICES).id])

    async def _measure(self) -> None:
        self.scheduler.measured({device.id: self.dice.random() for device in self.present})
        self.scheduler.timed(await self.scheduler.statuses())

    async def _reconfigure(self) -> None:
        await self.scheduler.reconfigure(replace(self.scheduler.settings, replicas=self.dice.randint(0, 2)))


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_request_ends_and_every_process_too(seed: int) -> None:
    chaos = Chaos(seed)
    await asyncio.wait_for(chaos.run(), 60)
    failures = [user.exception() for user in chaos.users if not user.cancelled()]
    assert [error for error in failures if error is not None and not isinstance(error, PollamaError)] == []
    assert chaos.launcher.runners
    assert all(runner.closed for runner in chaos.launcher.runners)
    assert (list(chaos.scheduler.residents()), chaos.scheduler.waiting) == ([], 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
