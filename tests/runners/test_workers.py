"""Life and death of device workers and of the runners that use them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pollama.errors import LoadError
from pollama.runners.process import LocalLauncher
from pollama.types.plans import LoadSpec, Stage, Worker
from tests.runners.conftest import environment, make_spec

HEAD = """
import asyncio
from pollama.runners.process import LocalLauncher
from tests.runners.conftest import environment, scripted
from tests.runners.test_workers import split

async def main():
    runner = await LocalLauncher(environment(), scripted()).launch(split("ready"))
    print("ready", flush=True)
    await runner.wait_closed()

asyncio.run(main())
"""
CORE = min(os.sched_getaffinity(0))


def split(name: str) -> LoadSpec:
    """Return a load with two workers on one core."""
    stages = (
        Stage(engine_device="CPU", layers=1, worker=Worker(device=f"cpu:{number}", cores=(CORE,))) for number in (1, 2)
    )
    return replace(make_spec(name), stages=tuple(stages))


def children(parent: psutil.Process, module: str) -> list[psutil.Process]:
    """Return the children of ``parent`` that run ``module``, the oldest first."""
    found = [child for child in parent.children() if module in " ".join(child.cmdline())]
    return sorted(found, key=lambda child: child.create_time())


def workers() -> list[psutil.Process]:
    return children(psutil.Process(), "pollama.runners.rpc")


def runners() -> list[psutil.Process]:
    return children(psutil.Process(), "scripted_child")


async def test_workers_are_pinned_listen_on_the_loopback_only_and_end_with_their_runner(
    launcher: LocalLauncher,
) -> None:
    runner = await launcher.launch(split("ready"))
    for worker in workers():
        assert worker.cpu_affinity() == [CORE]
        assert [link.laddr.ip for link in worker.net_connections() if link.status == psutil.CONN_LISTEN] == [
            "127.0.0.1"
        ]
    assert [use.device for use in (await runner.status()).workers] == ["cpu:1", "cpu:2"]
    await runner.close()
    assert workers() == []
    assert await runner.wait_closed() == ""


async def test_a_killed_worker_takes_its_runner_and_the_other_worker_along(launcher: LocalLauncher) -> None:
    runner, other = await launcher.launch(split("ready")), await launcher.launch(make_spec("ready"))
    workers()[1].send_signal(signal.SIGKILL)
    assert await runner.wait_closed() == "the worker of device cpu:2 has ended: signal: killed"
    assert (workers(), len(runners())) == ([], 1)
    await runner.close()
    assert (await other.status()).state == "ready"
    await other.close()


async def test_a_killed_runner_takes_its_workers_along(launcher: LocalLauncher, sockets: Path) -> None:
    runner = await launcher.launch(split("ready"))
    runners()[0].send_signal(signal.SIGKILL)
    assert await runner.wait_closed() == "signal: killed"
    assert workers() == []
    assert list(sockets.iterdir()) == []
    await runner.close()


async def test_a_worker_that_dies_while_the_model_loads_is_named(launcher: LocalLauncher) -> None:
    load = asyncio.create_task(launcher.launch(split("stuck")))
    while not runners():
        await asyncio.sleep(0.01)
    workers()[0].send_signal(signal.SIGKILL)
    with pytest.raises(LoadError, match="the worker of device cpu:1 has ended: signal: killed"):
        await load
    assert (workers(), runners()) == ([], [])


@pytest.mark.parametrize("started", [workers, runners])
async def test_cancelling_a_load_stops_all(
    launcher: LocalLauncher, started: Callable[[], list[psutil.Process]]
) -> None:
    load = asyncio.create_task(launcher.launch(split("stuck")))
    while not started():
        await asyncio.sleep(0.01)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert (workers(), runners()) == ([], [])


async def test_a_worker_that_cannot_be_started_is_named(make_launcher: Callable[..., LocalLauncher]) -> None:
    with pytest.raises(LoadError, match=r"error starting the worker of device cpu:.: .*nowhere"):
        await make_launcher(worker_command=("/nowhere/worker",)).launch(split("ready"))


async def test_a_worker_that_never_listens_is_given_up(make_launcher: Callable[..., LocalLauncher]) -> None:
    silent = (sys.executable, "-c", "import sys; sys.stdin.read()")
    with pytest.raises(LoadError, match=r"timed out waiting for the worker of device cpu:."):
        await make_launcher(worker_command=silent, load_timeout=0.5).launch(split("ready"))
    assert psutil.Process().children() == []


async def test_nothing_outlives_a_killed_head(sockets: Path) -> None:
    head = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEAD, env=environment() | {"TMPDIR": str(sockets)}, stdout=asyncio.subprocess.PIPE
    )
    assert head.stdout is not None
    assert await head.stdout.readline() == b"ready\n"
    left = psutil.Process(head.pid).children()
    assert len(left) == 3
    head.send_signal(signal.SIGKILL)
    await head.wait()
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in left):
        await asyncio.sleep(0.01)
    assert list(sockets.iterdir()) == []
