"""The runner process that is kept in spare: who gets it, what replaces it, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from pollama.errors import LoadError
from pollama.runners.llamacpp.threads import kernel_counts
from pollama.runners.process import LocalLauncher
from pollama.runners.spare import RunnerSource, child_environment, runner_environment
from tests.runners.conftest import SCRIPTED, environment, make_spec

HEAD = """
import asyncio
from tests.runners.conftest import scripted

async def main():
    async with scripted().in_spare():
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def children() -> list[psutil.Process]:
    return psutil.Process().children()


async def until_there_is(count: int) -> list[psutil.Process]:
    """Return the child processes when there are ``count``."""
    while len(found := children()) != count:
        await asyncio.sleep(0.01)
    return found


async def ended(child: psutil.Process) -> None:
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.01)


async def begun() -> None:
    """Let what was put off begin."""
    for _ in range(3):
        await asyncio.sleep(0)


def is_starting() -> bool:
    return any(task.get_name() == "spare runner" for task in asyncio.all_tasks())


@pytest.fixture
async def source(sockets: Path) -> AsyncIterator[RunnerSource]:
    """A source with a process in spare; the next one is started right after a load."""
    del sockets
    source = RunnerSource(environment(), SCRIPTED, pause=0)
    async with source.in_spare():
        yield source
    assert children() == []


def test_threads_wait_awake_where_they_can_be_seen_to_be_in_the_way() -> None:
    inherited = runner_environment({"HOME": "/home/user"})
    assert inherited["HOME"] == "/home/user"
    assert ("GOMP_SPINCOUNT" in inherited) == kernel_counts()
    assert "GOMP_SPINCOUNT" not in child_environment({})


@pytest.mark.parametrize("told", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_how_threads_wait_can_be_told(told: dict[str, str]) -> None:
    inherited = runner_environment(told)
    assert told.items() <= inherited.items()
    assert inherited == child_environment(told)


async def test_a_launch_takes_it_and_another_one_follows(source: RunnerSource) -> None:
    (spare,) = children()
    runner = await LocalLauncher(environment(), source).launch(make_spec("ready"))
    both = await until_there_is(2)
    assert spare in both
    await runner.close()
    (other,) = children()
    assert other != spare


async def test_of_two_launches_at_once_each_has_a_process_of_its_own(source: RunnerSource) -> None:
    launcher = LocalLauncher(environment(), source)
    runners = await asyncio.gather(*(launcher.launch(make_spec("ready")) for _ in range(2)))
    await until_there_is(3)
    for runner in runners:
        await runner.close()
    await until_there_is(1)


async def test_none_is_started_while_a_load_goes_on(source: RunnerSource) -> None:
    launcher = LocalLauncher(environment(), source)
    load = asyncio.create_task(launcher.launch(make_spec("stuck")))
    runner = await launcher.launch(make_spec("ready"))
    assert len(children()) == 2
    await runner.close()
    load.cancel()
    await asyncio.wait([load])
    await until_there_is(1)


async def test_one_that_was_killed_is_not_missed(source: RunnerSource, sockets: Path) -> None:
    (spare,) = children()
    spare.kill()
    await ended(spare)
    runner = await LocalLauncher(environment(), source).launch(make_spec("ready"))
    assert runner.info.context_length == 512
    await runner.close()
    (next_one,) = await until_there_is(1)
    assert next_one != spare
    assert len(list(sockets.iterdir())) == 1


async def test_a_load_that_fails_uses_it_up(source: RunnerSource) -> None:
    (spare,) = children()
    with pytest.raises(LoadError, match="not a GGUF file"):
        await LocalLauncher(environment(), source).launch(make_spec("broken"))
    assert not spare.is_running()
    await until_there_is(1)


async def test_the_order_names_its_cores(source: RunnerSource) -> None:
    (spare,) = children()
    core = min(os.sched_getaffinity(0))
    runner = await LocalLauncher(environment(), source).launch(make_spec("ready", cores=(core,)))
    assert spare.cpu_affinity() == [core]
    await runner.close()


async def test_it_ends_while_another_one_is_started(sockets: Path) -> None:
    source = RunnerSource(environment(), SCRIPTED, pause=0)
    async with source.in_spare():
        runner = await LocalLauncher(environment(), source).launch(make_spec("ready"))
        await begun()
        assert is_starting()
    await runner.close()
    assert children() == []
    assert list(sockets.iterdir()) == []


async def test_none_is_started_before_it_is_asked_for_or_afterwards(sockets: Path) -> None:
    del sockets
    source = RunnerSource(environment(), SCRIPTED, pause=0)
    for _ in range(2):
        runner = await LocalLauncher(environment(), source).launch(make_spec("ready"))
        await begun()
        assert not is_starting()
        await runner.close()
        async with source.in_spare():
            pass


async def test_a_program_that_cannot_be_started_is_no_reason_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    async with RunnerSource(environment(), ("/nowhere/runner",)).in_spare():
        assert "no runner can be kept in spare" in caplog.text


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_it_does_not_outlive_its_head(sockets: Path, end: signal.Signals) -> None:
    head = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEAD, env=environment() | {"TMPDIR": str(sockets)}, stdout=asyncio.subprocess.PIPE
    )
    assert head.stdout is not None
    assert await head.stdout.readline() == b"ready\n"
    (spare,) = psutil.Process(head.pid).children()
    head.send_signal(end)
    await head.wait()
    await ended(spare)
    while list(sockets.iterdir()):
        await asyncio.sleep(0.01)
