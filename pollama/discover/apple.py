"""Apple's GPUs as macOS describes them to any user: ``system_profiler`` and the registry of its drivers, ``ioreg``."""

from __future__ import annotations

import functools
import json
import platform
import re
import subprocess
from typing import Any, Final

from pollama.discover.gpus import Gpu, Sensors

_PROFILER: Final = ("/usr/sbin/system_profiler", "SPDisplaysDataType", "-json")
_REGISTRY: Final = ("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
_SECONDS: Final = 10.0

_BUSY: Final = re.compile(r'"Device Utilization %"\s*=\s*(\d+)')
_VENDOR: Final = "sppci_vendor_Apple"


def apple_gpus() -> list[Gpu]:
    """Return the GPU of this Mac; none elsewhere."""
    if platform.system() != "Darwin":
        return []
    return parse(_profile(), _output(_REGISTRY))


def parse(profile: str, registry: str) -> list[Gpu]:
    """Return the GPUs of ``profile`` (JSON of system_profiler) with the load that ``registry`` (ioreg's text) tells."""
    busy = _BUSY.search(registry)
    sensors = Sensors(utilisation=float(busy[1]) if busy else None)
    return [
        Gpu(vendor="apple", address="", name=str(card.get("sppci_model", "")), sensors=sensors)
        for card in _cards(profile)
        if card.get("spdisplays_vendor") == _VENDOR
    ]


def _cards(profile: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(profile)["SPDisplaysDataType"]
    except (ValueError, KeyError, TypeError):
        return []
    return [card for card in found if isinstance(card, dict)] if isinstance(found, list) else []


@functools.cache
def _profile() -> str:
    return _output(_PROFILER)


def _output(command: tuple[str, ...]) -> str:
    """Return what a command prints; "" when it fails or takes too long."""
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS, text=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
