"""Life and death of runner processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pollama.errors import LoadError
from pollama.runners.process import LocalLauncher
from pollama.runners.spare import RunnerSource
from tests.runners.conftest import SCRIPTED, environment, make_spec

HEAD = """
import asyncio
from pollama.runners.process import LocalLauncher
from pollama.runners.spare import RunnerSource
from tests.runners.conftest import SCRIPTED, environment, make_spec, scripted

async def main():
    runner = await LocalLauncher(environment(), scripted()).launch(make_spec("ready"))
    print("ready", flush=True)
    await runner.wait_closed()

asyncio.run(main())
"""


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_what_others_print_at_start_is_passed_over(make_launcher: Callable[..., LocalLauncher]) -> None:
    program = "echo hello; printf '\\377\\n'; exec \"$@\""
    runner = await make_launcher(source=RunnerSource(environment(), ("sh", "-c", program, "sh", *SCRIPTED))).launch(
        make_spec("ready")
    )
    await runner.close()


async def test_close_ends_process_and_socket(launcher: LocalLauncher, sockets: Path) -> None:
    runner = await launcher.launch(make_spec("ready"))
    (child,) = _children()
    (folder,) = sockets.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    await runner.close()
    assert not child.is_running()
    assert await runner.wait_closed() == ""
    await runner.close()


async def test_kill_of_the_runner_is_told(launcher: LocalLauncher, sockets: Path) -> None:
    runner = await launcher.launch(make_spec("ready"))
    (child,) = _children()
    child.kill()
    assert await runner.wait_closed() == "signal: killed"
    assert list(sockets.iterdir()) == []
    await runner.close()


async def test_refused_weights(launcher: LocalLauncher) -> None:
    with pytest.raises(LoadError) as caught:
        await launcher.launch(make_spec("broken"))
    assert str(caught.value) == (
        "llama-server process has terminated: exit status 1: error: /models/broken: not a GGUF file"
    )


async def test_crash_while_loading(launcher: LocalLauncher) -> None:
    with pytest.raises(LoadError, match="llama-server process has terminated: signal: aborted"):
        await launcher.launch(make_spec("crash"))


async def test_program_that_cannot_be_started(make_launcher: Callable[..., LocalLauncher]) -> None:
    with pytest.raises(LoadError, match=r"error starting llama-server: .*nowhere"):
        await make_launcher(source=RunnerSource(environment(), ("/nowhere/runner",))).launch(make_spec("ready"))


async def test_load_that_stalls(make_launcher: Callable[..., LocalLauncher]) -> None:
    with pytest.raises(LoadError, match="timed out waiting for llama-server to start - "):
        await make_launcher(load_timeout=0.5).launch(make_spec("stuck"))
    assert _children() == []


async def test_progress_restarts_the_stall_timeout(make_launcher: Callable[..., LocalLauncher]) -> None:
    runner = await make_launcher(load_timeout=5.0).launch(make_spec("slow"))  # loads for 6 seconds
    await runner.close()


async def test_cancelling_a_load_stops_the_process(launcher: LocalLauncher) -> None:
    load = asyncio.create_task(launcher.launch(make_spec("stuck")))
    while not _children():
        await asyncio.sleep(0.01)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert _children() == []


async def test_threads_and_cores(make_launcher: Callable[..., LocalLauncher]) -> None:
    core = min(os.sched_getaffinity(0))
    launcher = make_launcher(threads=3)
    for spec, threads in (
        (make_spec("ready", cores=(core,)), 3),
        (make_spec("ready", cores=(core,), threads=1), 1),
    ):
        runner = await launcher.launch(spec)
        assert runner.info.layers_total == threads
        assert (await runner.status()).cells_used == 1
        await runner.close()


async def test_no_runner_outlives_a_killed_head(sockets: Path) -> None:
    head = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEAD, env=environment() | {"TMPDIR": str(sockets)}, stdout=asyncio.subprocess.PIPE
    )
    assert head.stdout is not None
    assert await head.stdout.readline() == b"ready\n"
    (child,) = psutil.Process(head.pid).children()
    head.send_signal(signal.SIGKILL)
    await head.wait()
    while (child.is_running() and child.status() != psutil.STATUS_ZOMBIE) or list(sockets.iterdir()):
        await asyncio.sleep(0.01)
