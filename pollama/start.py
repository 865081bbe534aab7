"""How ``pollama serve`` starts: what takes long begins first, and side by side."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from types import ModuleType
from typing import Any

from pollama import logs
from pollama.config import Config
from pollama.runners.spare import RunnerSource

_log = logging.getLogger(__name__)


def serve(config: Config) -> None:
    """Serve until SIGINT or SIGTERM. Raises ListenError, StoreError and ConfigError before the first request."""
    logs.configure(config.log_level)
    with contextlib.suppress(KeyboardInterrupt):
        _run(_serve(config))


def _run(main: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(config: Config) -> None:
    stopping = _stop_signals()
    runners = RunnerSource(config.environ)
    async with runners.in_spare() if config.spare_runner else contextlib.nullcontext():
        server = _import_server()
        async with server.serving(config, runners=runners):
            await stopping.wait()
            _log.info("stopping")


def _import_server() -> ModuleType:
    """Import what serves. Meanwhile the runner in spare imports what it needs, on another core."""
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the time
    from pollama import server  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return server


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping
