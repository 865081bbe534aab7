"""How pollama names itself to servers and registries."""

from __future__ import annotations

import platform
from typing import Final

from pollama.types.version import OLLAMA_VERSION

_ARCHITECTURES: Final = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


def user_agent() -> str:
    """Return the User-Agent header as Ollama's; registries refuse models that are too new for the version in it."""
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    return f"ollama/{OLLAMA_VERSION} ({machine} {platform.system().lower()}) Go/go1.26.0"
