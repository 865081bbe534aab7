"""The devices that ggml offers in this process, by llama.cpp's names (``CUDA0``, ``CPU``, ``RPC0`` ...)."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pollama.native.binding import declare, ggml
from pollama.native.errors import NativeError

DeviceKind = Literal["cpu", "gpu", "igpu", "accelerator", "meta"]
_KINDS: tuple[DeviceKind, ...] = ("cpu", "gpu", "igpu", "accelerator", "meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDevice:
    """One ggml device; memory in bytes (0 where the backend does not tell)."""

    name: str
    description: str
    kind: DeviceKind
    memory_free: int
    memory_total: int
    backend: str


class _Functions:
    """The C functions of ggml's device registry."""

    def __init__(self) -> None:
        registry, base = ggml("ggml"), ggml("ggml-base")
        pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        sizes = ctypes.POINTER(size)
        self.load_all = declare(registry, "ggml_backend_load_all", None)
        self.count = declare(registry, "ggml_backend_dev_count", size)
        self.get = declare(registry, "ggml_backend_dev_get", pointer, size)
        self.by_name = declare(registry, "ggml_backend_dev_by_name", pointer, text)
        self.register = declare(registry, "ggml_backend_device_register", None, pointer)
        self.name = declare(base, "ggml_backend_dev_name", text, pointer)
        self.description = declare(base, "ggml_backend_dev_description", text, pointer)
        self.memory = declare(base, "ggml_backend_dev_memory", None, pointer, sizes, sizes)
        self.kind = declare(base, "ggml_backend_dev_type", ctypes.c_int, pointer)
        self.registry_of = declare(base, "ggml_backend_dev_backend_reg", pointer, pointer)
        self.registry_name = declare(base, "ggml_backend_reg_name", text, pointer)
        self.registry_count = declare(base, "ggml_backend_reg_dev_count", size, pointer)
        self.registry_device = declare(base, "ggml_backend_reg_dev_get", pointer, pointer, size)


@functools.cache
def functions() -> _Functions:
    """Return ggml's device functions, with its backends loaded."""
    found = _Functions()
    found.load_all()
    return found


def list_devices() -> list[EngineDevice]:
    """Return all devices in ggml's order."""
    calls = functions()
    return [_describe(calls.get(index)) for index in range(calls.count())]


def _describe(device: Any) -> EngineDevice:
    calls = functions()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    calls.memory(device, ctypes.byref(free), ctypes.byref(total))
    return EngineDevice(
        name=calls.name(device).decode(),
        description=calls.description(device).decode("utf-8", "replace"),
        kind=_KINDS[calls.kind(device)],
        memory_free=free.value,
        memory_total=total.value,
        backend=calls.registry_name(calls.registry_of(device)).decode(),
    )


def device_array(names: Sequence[str]) -> ctypes.Array[ctypes.c_void_p]:
    """Return the NULL-terminated device list that llama.cpp takes; keep it alive while the model lives.

    Raises NativeError naming a device that does not exist.
    """
    handles = [_find(name) for name in names]
    return (ctypes.c_void_p * (len(handles) + 1))(*handles, None)


def _find(name: str) -> Any:
    handle = functions().by_name(name.encode())
    if not handle:
        known = ", ".join(device.name for device in list_devices())
        raise NativeError(f"the engine has no device {name!r} (it has {known})")
    return handle
