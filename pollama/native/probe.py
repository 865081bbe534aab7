"""Lists what ggml offers, as JSON on standard output: ``python -m pollama.native.probe``.

A process of its own, because looking at a GPU pins some of its memory until the process ends.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

from pollama.native.binding import declare, ggml
from pollama.native.child import end_with_parent, result_stream
from pollama.native.devices import functions, list_devices


class _Capabilities(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_bool) for name in ("asynchronous", "host_buffer", "buffer_from_host_ptr", "events", "mmap")
    ]


class _Properties(ctypes.Structure):
    """``struct ggml_backend_dev_props`` of ggml-backend.h."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("kind", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", _Capabilities),
    ]


def devices() -> list[dict[str, Any]]:
    """Return all devices; ``hardware_id`` is the PCI address in lower case, "" where the backend tells none."""
    return [
        {
            "name": device.name,
            "description": device.description,
            "kind": device.kind,
            "backend": device.backend,
            "free_bytes": device.memory_free,
            "total_bytes": device.memory_total,
            "hardware_id": _hardware_id(index),
        }
        for index, device in enumerate(list_devices())
    ]


def _hardware_id(index: int) -> str:
    read = declare(ggml("ggml-base"), "ggml_backend_dev_get_props", None, ctypes.c_void_p, ctypes.POINTER(_Properties))
    properties = _Properties()
    read(functions().get(index), ctypes.byref(properties))
    return (properties.device_id or b"").decode().lower()


def main() -> None:
    """Print the devices."""
    end_with_parent()
    with result_stream() as stream:
        json.dump(devices(), stream)


if __name__ == "__main__":
    main()
