"""Composition: builds everything from one Config, serves, and stops it in order.

This is the only place that knows which class stands behind each port.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from pollama import __version__
from pollama.api.app import create_app, create_runner
from pollama.api.services import Services
from pollama.background import Background
from pollama.clock import SystemClock
from pollama.config import Config
from pollama.config.live import LiveConfig
from pollama.discover.devices import DeviceReader
from pollama.discover.speeds import SpeedBook
from pollama.discover.topology import Topology
from pollama.errors import ListenError
from pollama.inference import Inference
from pollama.models.bundled import Bundled
from pollama.models.library import ModelLibrary
from pollama.models.registry.client import RegistryAccess
from pollama.prompts.inspector import PromptInspector
from pollama.runners.process import LocalLauncher
from pollama.runners.spare import RunnerSource
from pollama.scheduler.policy import Policy
from pollama.scheduler.scheduler import ModelScheduler
from pollama.types.proxies import Proxies
from pollama.types.version import OLLAMA_VERSION

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024

BUNDLED: Final = {
    "demo:latest": Bundled(Path(__file__).parent / "demo" / "demo.gguf", {"temperature": 0, "num_predict": 512})
}
"""Models inside the package, by the short name that a pull asks for. So small a model is at its best when greedy."""


@contextlib.asynccontextmanager
async def serving(
    config: Config, devices: DeviceReader | None = None, runners: RunnerSource | None = None
) -> AsyncIterator[str]:
    """Serve for as long as the block lasts, and lend the address (``host:port``) that is listened on.

    ``devices`` reads what models are placed on; without it, those of this machine as ``config`` divides it. ``runners``
    is where runner processes come from, if one is kept in spare. Raises ListenError, StoreError and ConfigError before
    the first request.
    """
    with listen(config) as listener:
        async with application(config, listener, devices, runners) as app:
            runner = create_runner(app)
            await runner.setup()
            try:
                await web.SockSite(runner, listener, backlog=_BACKLOG).start()
                _log.info("Listening on %s (version %s)", _address(listener), __version__)
                yield _address(listener)
            finally:
                await runner.cleanup()


@contextlib.asynccontextmanager
async def application(
    config: Config,
    listener: socket.socket,
    devices: DeviceReader | None = None,
    runners: RunnerSource | None = None,
) -> AsyncIterator[web.Application]:
    """Build the application behind ``listener`` and everything below it; stop all of it at the end."""
    clock = SystemClock()
    library = ModelLibrary(
        config.models, PromptInspector(go_template=config.go_template), BUNDLED, registry_access(config)
    )
    await library.open(prune=not config.no_prune)
    launcher = LocalLauncher(config.environ, runners, load_timeout=config.load_timeout, threads=config.threads)
    speeds = SpeedBook(config.home / ".pollama" / "speed.json")
    links = Topology(speeds).links
    devices = devices or DeviceReader(config, speeds=speeds, clock=clock)
    scheduler = ModelScheduler(policy(config), launcher, devices.read, clock, links)
    background = Background(config, devices, speeds, scheduler)

    async def obey(changed: Config) -> None:
        await scheduler.reconfigure(changed.several_devices())
        background.settings_changed()

    await scheduler.start()
    try:
        async with background.running(links):
            yield create_app(
                Services(
                    inference=Inference(library, scheduler, clock, cloud_disabled=config.cloud_disabled),
                    library=library,
                    scheduler=scheduler,
                    listen_host=listener.getsockname()[0],
                    version=OLLAMA_VERSION,
                    origins=config.allowed_origins,
                    cloud_disabled=config.cloud_disabled,
                    cloud_source=config.cloud_disabled_source,
                    steering=scheduler,
                    settings=LiveConfig(config, obey),
                    links=links,
                    telemetry=devices.telemetry,
                )
            )
    finally:
        await scheduler.close()


def registry_access(config: Config) -> RegistryAccess:
    """Return how registries are spoken to."""
    proxies = Proxies(config.http_proxy, config.https_proxy, config.no_proxy)
    return RegistryAccess(key=config.home / ".ollama" / "id_ed25519", proxies=proxies)


def policy(config: Config) -> Policy:
    """Return what the scheduler is told to obey."""
    return Policy(
        max_queue=config.max_queue,
        max_loaded=config.max_loaded_models,
        num_parallel=config.num_parallel,
        keep_alive=config.keep_alive,
        num_ctx=config.context_length,
        kv_type=config.kv_cache_type.lower() or "f16",
        flash_attention=config.flash_attention,
        spread=config.sched_spread,
        gpu_overhead=config.gpu_overhead,
        multi_gpu=config.several_devices(),
    )


def listen(config: Config) -> socket.socket:
    """Bind the configured address. Raises ListenError with the text that users of a Go server know."""
    host, port = config.host.host, config.host.port_number
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(f"listen tcp: lookup {host}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise ListenError(f"listen tcp {config.host.netloc}: bind: {reason}") from error
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
