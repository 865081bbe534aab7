"""ggml's RPC: serve a device of this process, and use one that another process serves. Loopback only."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from pollama.native.binding import declare, ggml
from pollama.native.devices import functions
from pollama.native.errors import NativeError


@functools.cache
def _library() -> ctypes.CDLL:
    return ggml("ggml-rpc")


@functools.cache
def add_server(endpoint: str) -> tuple[str, ...]:
    """Register the devices that ``endpoint`` (``host:port``) serves; return their names.

    A refused connection aborts the process inside ggml and a busy server never answers: the caller makes sure that
    the endpoint accepts and is free. Raises NativeError when the server offers no device.
    """
    calls = functions()
    add = declare(_library(), "ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
    register = declare(ggml("ggml"), "ggml_backend_register", None, ctypes.c_void_p)
    registry = add(endpoint.encode())
    if not registry:
        raise NativeError(f"the device worker at {endpoint} offers no device")
    register(registry)
    devices = [calls.registry_device(registry, index) for index in range(calls.registry_count(registry))]
    return tuple(calls.name(device).decode() for device in devices)


def buffer_name(endpoint: str) -> str:
    """Return what the log calls the memory of the first device at ``endpoint``."""
    return f"RPC0[{endpoint}]"


def serve(endpoint: str, device_names: list[str], threads: int, cache: str | None = None) -> None:
    """Serve devices of this process on ``endpoint`` until the process ends.

    ``cache`` is a folder for tensors seen before. Raises NativeError for an unknown device.
    """
    start = declare(
        _library(),
        "ggml_backend_rpc_start_server",
        None,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_void_p),
    )
    handles = _handles(device_names)
    start(endpoint.encode(), cache.encode() if cache else None, threads, len(handles), handles)


def _handles(names: list[str]) -> Any:
    handles = [functions().by_name(name.encode()) for name in names]
    for name, handle in zip(names, handles, strict=True):
        if not handle:
            raise NativeError(f"the engine has no device {name!r}")
    return (ctypes.c_void_p * len(handles))(*handles)
