"""A server inside the process of a test, on devices that the test describes; runners and workers are real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pollama.config import Config
from pollama.discover.devices import DeviceReader
from pollama.server import serving
from pollama.types.address import ServerAddress
from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Endpoint
from tests.runners.conftest import environment


@asynccontextmanager
async def serving_on(reader: Callable[[Config], DeviceReader], home: Path, **settings: Any) -> AsyncIterator[Endpoint]:
    """Serve the probe model on the devices that ``reader`` reads; ``settings`` are fields of ``Config``."""
    config = Config(
        host=ServerAddress(port="0"),
        home=home,
        environ=environment(),
        multi_gpu=True,
        performance_profiling=False,
        spare_runner=False,
        no_cloud=True,
        **settings,
    )
    async with serving(config, reader(config)) as address:
        server = Endpoint(f"http://{address}")
        await asyncio.to_thread(create_from_file, server, "probe", MODELS / "probe.gguf")
        yield server
