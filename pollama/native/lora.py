"""LoRA adapters. They belong to a context, not to a sequence, and are freed with their model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pollama.native.binding import llama
from pollama.native.errors import NativeError
from pollama.native.library import LOG
from pollama.native.model import Model


def load_adapters(model: Model, paths: Sequence[Path]) -> list[Any]:
    """Return handles for ``Context.apply_adapters``. Raises NativeError naming the file."""
    return [_load(model, path) for path in paths]


def _load(model: Model, path: Path) -> Any:
    adapter = llama.llama_adapter_lora_init(model.pointer, os.fsencode(path))
    if not adapter:
        raise NativeError(f"adapter {path.name}: {LOG.error_text() or 'the engine could not load it'}")
    return adapter
