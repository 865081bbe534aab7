"""A server for a command that finds none: started as a child, ended with the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from pollama.cli.client import Client
from pollama.cli.command import stderr
from pollama.cli.errors import CliError, ConnectionRefusedByServerError
from pollama.config import Config

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.05


@contextmanager
def server_for(config: Config) -> Iterator[Client]:
    """Yield a client of a server that answers: the configured one, or one that lives as long as the block.

    Raises CliError when the server cannot be reached or does not start.
    """
    client = Client(config)
    try:
        client.heartbeat()
    except ConnectionRefusedByServerError as error:
        if not is_this_machine(config.host.host):
            raise CliError(f"could not connect to ollama server at {config.host.netloc}") from error
    else:
        yield client
        return
    with _signals_end_the_block(), _child(config, client):
        yield client


@contextmanager
def _child(config: Config, client: Client) -> Iterator[None]:
    log = config.home / ".ollama" / "logs" / "pollama.log"
    stderr(f"No server answers at {config.host.netloc}. Starting one until this command ends; its log is {log}")
    server = _start(config, log)
    try:
        _wait(server, client, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _start(config: Config, log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, so that Ctrl-C reaches the command alone."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "pollama", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=config.environ,
                process_group=0,
            )
    except OSError as error:
        raise CliError(f"could not start a server: {error}") from error


def _wait(server: subprocess.Popen[bytes], client: Client, log: Path) -> None:
    """Return when the server answers. Raises CliError with the end of its log when it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            client.heartbeat()
        except CliError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise CliError(f"the server did not start: {''.join(last) or 'its log is empty'} (see {log})")


def is_this_machine(host: str) -> bool:
    """Tell whether a host names this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host in ("", "localhost")
    return address.is_loopback or address.is_unspecified


@contextmanager
def _signals_end_the_block() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that no server is left behind."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
