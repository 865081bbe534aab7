"""Measures devices and the ways between them, each in a child process of its own, one after the other."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import msgspec

from pollama.discover.child import output_of
from pollama.discover.speeds import SpeedBook
from pollama.types.devices import Device, Link

log = logging.getLogger(__name__)

T = TypeVar("T")

_DEVICE: Final = (sys.executable, "-m", "pollama.native.speed")
_LINK: Final = (sys.executable, "-m", "pollama.native.speed_link")
_SECONDS: Final = 60.0
_MIB: Final = 1 << 20

_CACHES: Final = 4
"""Weights that are this many times as large as the last cache come from memory."""

_CPU_BYTES: Final = 128 * _MIB
_GPU_BYTES: Final = 512 * _MIB
_PART_OF_FREE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _DeviceResult:
    bandwidth: float
    compute: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinkResult:
    bandwidth: float
    latency: float


class Benchmark:
    """Measures what ``book`` does not know yet. ``environ`` is what the child processes inherit."""

    def __init__(self, book: SpeedBook, environ: Mapping[str, str]) -> None:
        self._book = book
        self._environ = {"OMP_WAIT_POLICY": "passive", **environ, "GGML_NO_BACKTRACE": "1"}
        self._measuring = asyncio.Lock()

    async def measure(self, devices: Sequence[Device], *, again: bool = False) -> None:
        """Measure devices, ``again`` also those that are known. One that cannot be measured is logged and left out."""
        async with self._measuring:
            for device in devices:
                if again or not self._book.is_known(device):
                    await self._measure(device)

    async def measure_links(self, links: Sequence[Link], devices: Sequence[Device]) -> None:
        """Measure links between ``devices`` that are not known: one of each class."""
        by_id = {device.id: device for device in devices}
        async with self._measuring:
            for link in links:
                arguments = _link_arguments(by_id[link.first], by_id[link.second])
                if arguments and not self._book.is_known_link(link):
                    await self._measure_link(link, arguments)

    def steps(self, devices: Sequence[Device], links: Sequence[Link]) -> list[Callable[[], Awaitable[None]]]:
        """Return what there is to measure, as steps of a few seconds each."""
        unknown = [device for device in devices if not self._book.is_known(device)]
        return [
            *(partial(self.measure, [device]) for device in unknown),
            *(partial(self.measure_links, [link], devices) for link in links),
        ]

    async def _measure(self, device: Device) -> None:
        result = await self._run((*_DEVICE, *_device_arguments(device)), _DeviceResult, device.id)
        if result is None:
            return
        log.info("measured %s: %.1f GB/s, %.0f GFLOPS", device.id, result.bandwidth / 1e9, result.compute / 1e9)
        await self._book.record(device, result.bandwidth, result.compute, result.share)

    async def _measure_link(self, link: Link, arguments: Sequence[str]) -> None:
        result = await self._run((*_LINK, *arguments), _LinkResult, f"{link.first} to {link.second}")
        if result is not None:
            await self._book.record_link(link, result.bandwidth, result.latency)

    async def _run(self, command: Sequence[str], result: type[T], subject: str) -> T | None:
        try:
            return msgspec.json.decode(await output_of(command, self._environ, _SECONDS), type=result)
        except (OSError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("%s could not be measured: %s", subject, error or type(error).__name__)
            return None


async def measure_when_idle(
    benchmark: Benchmark,
    read: Callable[[], Awaitable[Sequence[Device]]],
    links: Callable[[Sequence[Device]], Sequence[Link]],
    idle: Callable[[], bool],
    poll_seconds: float = 0.25,
) -> None:
    """Measure all that is unknown of the devices that ``read`` finds while ``idle`` says that nobody needs them.

    A step that is under way when that ends is stopped, and done later.
    """
    devices = await read()
    for step in benchmark.steps(devices, await asyncio.to_thread(links, devices)):
        while not await _finished(step, idle, poll_seconds):  # noqa: ASYNC110  (nobody tells when it is idle)
            await asyncio.sleep(poll_seconds)


async def _finished(step: Callable[[], Awaitable[None]], idle: Callable[[], bool], poll_seconds: float) -> bool:
    """Do a step as long as ``idle`` holds; tell whether it is done."""
    if not idle():
        return False
    task = asyncio.ensure_future(step())
    try:
        while idle() and not task.done():
            await asyncio.wait((task,), timeout=poll_seconds)
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if task.cancelled():
        return False
    task.result()
    return True


def _device_arguments(device: Device) -> list[str]:
    size = min(_size(device), device.free_bytes // _PART_OF_FREE)
    cores = list(map(str, device.cores))
    settings = ("--device", device.engine_name or "CPU", "--threads", str(len(cores) or 1), "--size", str(size))
    return [*settings, "--cores", *cores]


def _size(device: Device) -> int:
    if device.is_gpu:
        return _GPU_BYTES
    return max(_CPU_BYTES, _CACHES * (device.cache_bytes or 0))


def _link_arguments(first: Device, second: Device) -> list[str]:
    """Return how to measure the way between two devices; nothing where the engine does not know one of two GPUs."""
    if first.is_gpu and second.is_gpu:
        known = first.engine_name and second.engine_name
        return ["--device", second.engine_name, "--from", first.engine_name] if known else []
    if first.is_gpu or second.is_gpu:
        gpu, cpu = (first, second) if first.is_gpu else (second, first)
        return ["--device", gpu.engine_name, "--cores", *map(str, cpu.cores)]
    return ["--cores", *map(str, first.cores), "--to", *map(str, second.cores)]
