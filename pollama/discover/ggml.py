"""The devices that llama.cpp sees, asked in a child process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pollama.discover.child import output_of

log = logging.getLogger(__name__)

PROBE: Final = (sys.executable, "-m", "pollama.native.probe")
_PROBE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDevice:
    """One ggml device. ``hardware_id`` is its PCI address in lower case, "" when the backend does not tell."""

    name: str
    description: str
    kind: Literal["cpu", "gpu", "igpu", "accelerator", "meta"]
    backend: str
    free_bytes: int
    total_bytes: int
    hardware_id: str = ""


async def engine_devices(environ: Mapping[str, str], command: Sequence[str] = PROBE) -> list[EngineDevice] | None:
    """Return the GPUs of this llama.cpp build as a runner with ``environ`` would see them; None if that fails."""
    try:
        output = await output_of(command, environ, _PROBE_SECONDS)
        devices = msgspec.json.decode(output, type=list[EngineDevice])
    except (OSError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("the engine's devices could not be listed: %s", error or type(error).__name__)
        return None
    return [device for device in devices if device.kind in ("gpu", "igpu") and device.total_bytes > 0]
