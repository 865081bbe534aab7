"""AMD GPUs as ROCm's management library (amdsmi) describes them; without it, the kernel's word stands (``drm``)."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from types import ModuleType
from typing import Any, Final

from pollama.discover.gpus import Gpu, Peer, Sensors
from pollama.types.devices import LinkKind

log = logging.getLogger(__name__)

Answers = Mapping[str, Any]
"""What amdsmi says of one GPU, or of two: by function, without ``amdsmi_get_``; those that raised are left out."""

_MIB: Final = 1 << 20
_MICRO: Final = 1e6
_MEGA: Final = 1e6

_PCIE, _XGMI = 1, 2
"""Types of links; every version of the library has these numbers, and names of its own for them."""


def amd_gpus() -> list[Gpu]:
    """Return all GPUs as they are now; none without the library or a driver."""
    with _opened() as library:
        handles = [] if library is None else library.amdsmi_get_processor_handles()
        found = [parse(_answers(library, handle)) for handle in handles]
    return [gpu for gpu in found if gpu is not None]


def amd_peers() -> list[Peer]:
    """Return how pairs of GPUs are joined, where the library tells."""
    with _opened() as library:
        handles = [] if library is None else library.amdsmi_get_processor_handles()
        found = [parse_peer(_answers_of_pair(library, *pair)) for pair in combinations(handles, 2)]
    return [peer for peer in found if peer is not None]


@contextmanager
def _opened() -> Iterator[Any]:
    """Lend the library; None where it or a driver is missing."""
    library = _library()
    try:
        if library is not None:
            library.amdsmi_init(library.AmdSmiInitFlags.INIT_AMD_GPUS)
    except Exception as error:
        log.debug("no AMD driver: %s", error)
        library = None
    try:
        yield library
    finally:
        if library is not None:
            library.amdsmi_shut_down()


@functools.cache
def _library() -> ModuleType | None:
    """Return amdsmi; None where it or ROCm's library behind it is missing."""
    try:
        return importlib.import_module("amdsmi")
    except Exception as error:
        log.debug("amdsmi cannot be used: %s", error)
        return None


def has_library() -> bool:
    """Tell whether amdsmi can be used."""
    return _library() is not None


def _answers(library: Any, handle: Any) -> dict[str, Any]:
    """Ask everything about one GPU."""
    hotspot = (library.AmdSmiTemperatureType.HOTSPOT, library.AmdSmiTemperatureMetric.CURRENT)
    questions: dict[str, Callable[[], Any]] = {
        "gpu_device_bdf": lambda: library.amdsmi_get_gpu_device_bdf(handle),
        "gpu_device_uuid": lambda: library.amdsmi_get_gpu_device_uuid(handle),
        "gpu_asic_info": lambda: library.amdsmi_get_gpu_asic_info(handle),
        "gpu_driver_info": lambda: library.amdsmi_get_gpu_driver_info(handle),
        "gpu_vram_usage": lambda: library.amdsmi_get_gpu_vram_usage(handle),
        "gpu_activity": lambda: library.amdsmi_get_gpu_activity(handle),
        "power_info": lambda: library.amdsmi_get_power_info(handle),
        "power_cap_info": lambda: library.amdsmi_get_power_cap_info(handle),
        "temp_metric": lambda: library.amdsmi_get_temp_metric(handle, *hotspot),
        "clock_info": lambda: library.amdsmi_get_clock_info(handle, library.AmdSmiClkType.GFX),
        "memory_clock_info": lambda: library.amdsmi_get_clock_info(handle, library.AmdSmiClkType.MEM),
        "pcie_info": lambda: library.amdsmi_get_pcie_info(handle),
    }
    return _answered(questions)


def _answers_of_pair(library: Any, first: Any, second: Any) -> dict[str, Any]:
    """Ask everything about the way between two GPUs."""
    return _answered(
        {
            "first": lambda: library.amdsmi_get_gpu_device_bdf(first),
            "second": lambda: library.amdsmi_get_gpu_device_bdf(second),
            "link_type": lambda: library.amdsmi_topo_get_link_type(first, second),
            "bandwidth": lambda: library.amdsmi_get_minmax_bandwidth_between_processors(first, second),
            "accessible": lambda: library.amdsmi_is_P2P_accessible(first, second),
        }
    )


def _answered(questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return the answers by the names of their questions; None is none."""
    answers = {name: _answer(ask) for name, ask in questions.items()}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _answer(ask: Callable[[], Any]) -> Any:
    """Return what a function says; None when it raises. What it may raise differs between versions of the library."""
    try:
        return ask()
    except Exception:
        return None


def parse(answers: Answers) -> Gpu | None:
    """Return the GPU that amdsmi described; None when it does not even say where it is."""
    if "gpu_device_bdf" not in answers:
        return None
    slot = answers.get("pcie_info", {}).get("pcie_static", {})
    total = _bytes(answers, "vram_total")
    cap = _number(answers.get("power_cap_info", {}).get("power_cap"))
    return Gpu(
        vendor="amd",
        address=answers["gpu_device_bdf"].lower(),
        name=_text(answers.get("gpu_asic_info", {}).get("market_name")),
        uuid=_text(answers.get("gpu_device_uuid")),
        total_bytes=total,
        free_bytes=max(0, total - _bytes(answers, "vram_used")),
        driver=_text(answers.get("gpu_driver_info", {}).get("driver_version")),
        pcie_generation=_whole(slot.get("pcie_interface_version")),
        pcie_width=_whole(slot.get("max_pcie_width")),
        power_watts=cap / _MICRO if cap else None,
        sensors=_sensors(answers),
    )


def parse_peer(answers: Answers) -> Peer | None:
    """Return the way between two GPUs that amdsmi described; None for one through the memory of the machine."""
    kinds: dict[Any, LinkKind] = {_XGMI: "xgmi"}
    if answers.get("accessible"):
        kinds[_PCIE] = "pcie"
    kind = kinds.get(answers.get("link_type", {}).get("type"))
    if kind is None or not {"first", "second"} <= answers.keys():
        return None
    most = _number(answers.get("bandwidth", {}).get("max_bandwidth")) or 0.0
    return Peer(
        first=answers["first"].lower(),
        second=answers["second"].lower(),
        kind=kind,
        bandwidth=most * _MEGA if kind == "xgmi" else 0.0,
    )


def _sensors(answers: Answers) -> Sensors:
    power = answers.get("power_info", {})
    watts = (_number(power.get(key)) for key in ("socket_power", "current_socket_power", "average_socket_power"))
    return Sensors(
        utilisation=_number(answers.get("gpu_activity", {}).get("gfx_activity")),
        power=next((value for value in watts if value is not None), None),
        temperature=_number(answers.get("temp_metric")),
        clock=_number(answers.get("clock_info", {}).get("clk")),
        memory_clock=_number(answers.get("memory_clock_info", {}).get("clk")),
    )


def _bytes(answers: Answers, key: str) -> int:
    return int((_number(answers.get("gpu_vram_usage", {}).get(key)) or 0) * _MIB)


def _number(value: Any) -> float | None:
    """Return a number; None for the library's ``N/A``."""
    return float(value) if isinstance(value, (int, float)) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value != "N/A" else ""
