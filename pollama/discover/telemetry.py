"""How devices are doing: load, power, temperature and clocks as ``Telemetry``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil

from pollama.discover.files import number, text
from pollama.discover.gpus import Gpu
from pollama.discover.numa import sockets
from pollama.types.devices import Device, Telemetry

_MICRO: Final = 1e6
_PACKAGES: Final = "sys/class/powercap/intel-rapl:[0-9]*"
"""Energy counters of CPU packages, AMD's included; most systems let only root read them."""

_CPU_SENSORS: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_PACKAGE_LABELS: Final = ("Package id", "Tctl", "Tdie")


class Rates:
    """Turns counters into rates: what they grew by per second since they were read before."""

    def __init__(self) -> None:
        self._before: dict[object, tuple[float, float]] = {}

    def of(self, counter: object, value: float | None, now: float, wraps_at: float = 0.0) -> float | None:
        """Return the rate of ``counter``; None for the first reading and for one that fell for no known reason.

        ``wraps_at`` is where it starts at 0 again (0 = never).
        """
        before = self._before.pop(counter, None)
        if value is None:
            return None
        self._before[counter] = value, now
        if before is None or now <= before[1]:
            return None
        grown = value - before[0]
        if grown < 0:
            grown += wraps_at
        return grown / (now - before[1]) if grown >= 0 else None


class Sensors:
    """Reads how devices are doing; ``root`` is where ``sys`` lies. Load and energy need an earlier reading."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._rates = Rates()

    def read(self, devices: Sequence[Device], gpus: Sequence[Gpu], now: float) -> list[Telemetry]:
        """Return a reading of every device; ``gpus`` is what vendors tell of them, ``now`` seconds since the epoch."""
        by_address = {gpu.address: gpu for gpu in gpus}
        cpus = self._cores([device for device in devices if not device.is_gpu], now)
        return [
            Telemetry(
                device=device.id,
                time=now,
                memory_used=max(0, device.total_bytes - device.free_bytes),
                **(self._gpu(by_address.get(device.pci_address), now) if device.is_gpu else cpus[device.id]),
            )
            for device in devices
        ]

    def _gpu(self, gpu: Gpu | None, now: float) -> dict[str, Any]:
        if gpu is None:
            return {}
        told = asdict(gpu.sensors)
        if told["power"] is None:
            told["power"] = self._rates.of(gpu.address, gpu.energy_joules, now)
        return told

    def _cores(self, devices: Sequence[Device], now: float) -> dict[str, dict[str, Any]]:
        """Return what is known of CPU devices, by their ids."""
        if not devices:
            return {}
        socket_of = sockets(self._root)
        loads, clocks = self._loads(now), _clocks()
        power, heat = self._powers(now), _temperatures()
        return {
            device.id: {
                "utilisation": _mean(loads.get(core) for core in device.cores),
                "clock": _mean(clocks.get(core) for core in device.cores),
                "power": _share(device.cores, socket_of, power),
                "temperature": max((heat[s] for s in _on(device.cores, socket_of) if s in heat), default=None),
            }
            for device in devices
        }

    def _loads(self, now: float) -> dict[int, float | None]:
        """Return each core's load in percent since the reading before."""
        times = enumerate(psutil.cpu_times(percpu=True))
        rates = {core: self._rates.of(("core", core), sum(time) - _idle(time), now) for core, time in times}
        return {core: None if rate is None else min(100.0, 100 * rate) for core, rate in rates.items()}

    def _powers(self, now: float) -> dict[int, float]:
        """Return the watts of each socket since the reading before, where the kernel lets this user see them."""
        found = {}
        for package in sorted(self._root.glob(_PACKAGES)):
            socket = _socket(package)
            if socket is not None:
                energy, wraps = (number(package / name, _MICRO) for name in ("energy_uj", "max_energy_range_uj"))
                found[socket] = self._rates.of(("socket", socket), energy, now, wraps or 0.0)
        return {socket: watts for socket, watts in found.items() if watts is not None}


def cpu_power_limit(cores: Sequence[int], root: Path = Path("/")) -> float | None:
    """Return the watts that ``cores`` may draw: their share of their sockets' long-term limits; None if unknown."""
    limits = {_socket(path): number(path / "constraint_0_power_limit_uw", _MICRO) for path in root.glob(_PACKAGES)}
    known = {socket: watts for socket, watts in limits.items() if socket is not None and watts}
    return _share(cores, sockets(root), known)


def _socket(package: Path) -> int | None:
    """Return the socket of an energy counter named ``package-0``; other counters are parts of one."""
    name, _, index = text(package / "name").partition("-")
    return int(index) if name == "package" and index.isdecimal() else None


def _idle(times: Any) -> float:
    """Return the seconds in which a core did nothing, and those of guests, which count as the host's own as well."""
    return float(sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice")))


def _clocks() -> dict[int, float]:
    """Return the clock of each core in MHz, where the system tells."""
    try:
        found = psutil.cpu_freq(percpu=True)
    except (AttributeError, NotImplementedError, OSError, RuntimeError):
        return {}
    return {core: clock.current for core, clock in enumerate(found) if clock.current}


def _temperatures() -> dict[int, float]:
    """Return the temperature of each socket; sensors that do not name theirs are of the first."""
    read = getattr(psutil, "sensors_temperatures", None)
    found: Mapping[str, Sequence[Any]] = read() if read is not None else {}
    chips = (found[name] for name in _CPU_SENSORS if name in found)
    return package_temperatures([(sensor.label, sensor.current) for chip in chips for sensor in chip])


def package_temperatures(sensors: Sequence[tuple[str, float]]) -> dict[int, float]:
    """Return the hottest value by socket of labelled sensors such as ``Package id 1``; without those, of all."""
    named = [(label, value) for label, value in sensors if label.startswith(_PACKAGE_LABELS)]
    hottest: dict[int, float] = {}
    for label, value in named or sensors:
        tail = label.rpartition(" ")[2]
        socket = int(tail) if label.startswith(_PACKAGE_LABELS[0]) and tail.isdecimal() else 0
        hottest[socket] = max(value, hottest.get(socket, value))
    return hottest


def _on(cores: Sequence[int], socket_of: Mapping[int, int]) -> set[int]:
    """Return the sockets of ``cores``; where the kernel does not tell, there is one."""
    return {socket_of.get(core, 0) for core in cores}


def _share(cores: Sequence[int], socket_of: Mapping[int, int], watts: Mapping[int, float]) -> float | None:
    """Return what of the sockets' ``watts`` falls to ``cores``, all cores of a socket being equal."""
    sizes = {socket: sum(1 for other in socket_of.values() if other == socket) for socket in watts}
    parts = [watts[s] / max(1, sizes[s]) for s in (socket_of.get(core, 0) for core in cores) if s in watts]
    return sum(parts) if parts else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
