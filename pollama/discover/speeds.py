"""What devices and links were measured to do, kept in a file so that it is measured once."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from pollama.config.file import write
from pollama.errors import ConfigError
from pollama.types.devices import Device, Link

log = logging.getLogger(__name__)

_UNDISTURBED: Final = 0.9
"""A CPU device that got less of its cores' time than this was measured while something else ran on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpeed:
    """A measurement of a device and what it holds for: the backend, the driver and the build of llama.cpp.

    ``bandwidth`` in bytes/s, ``compute`` in operations/s, ``share`` of the cores' time that the measurement got.
    """

    kind: str
    driver: str
    build: str
    bandwidth: float
    compute: float
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpeed:
    """A measurement of a link, in the units of ``Link``."""

    build: str
    bandwidth: float
    latency: float


@dataclass(slots=True, kw_only=True)
class _Content:
    devices: dict[str, DeviceSpeed] = field(default_factory=dict)
    links: dict[str, LinkSpeed] = field(default_factory=dict)


class SpeedBook:
    """Measured speeds by device and by link, in a JSON file. A file that is missing or damaged is an empty one."""

    def __init__(self, file: Path, build: str | None = None) -> None:
        self._file = file
        self.build = engine_build() if build is None else build
        self._content = _read(file)

    def devices(self, devices: Sequence[Device]) -> list[Device]:
        """Return ``devices`` with the speeds that are known."""
        return [self._with_speed(device) for device in devices]

    def _with_speed(self, device: Device) -> Device:
        speed = self._of(device)
        return device if speed is None else replace(device, bandwidth=speed.bandwidth, compute=speed.compute)

    def links(self, links: Sequence[Link]) -> list[Link]:
        """Return ``links`` with the speeds that are known; others keep what they have."""
        return [self._with_link_speed(link) for link in links]

    def _with_link_speed(self, link: Link) -> Link:
        speed = self._content.links.get(link_class(link))
        if speed is None or speed.build != self.build:
            return link
        return replace(link, bandwidth=speed.bandwidth, latency=speed.latency)

    def is_known(self, device: Device) -> bool:
        """Tell whether ``device`` was measured with this driver and build, and undisturbed."""
        speed = self._of(device)
        return speed is not None and (device.is_gpu or speed.share >= _UNDISTURBED)

    def is_known_link(self, link: Link) -> bool:
        """Tell whether ``link``, or one like it, was measured with this build."""
        speed = self._content.links.get(link_class(link))
        return speed is not None and speed.build == self.build

    def _of(self, device: Device) -> DeviceSpeed | None:
        speed = self._content.devices.get(device.id)
        if speed is None or (speed.kind, speed.driver, speed.build) != (device.kind, device.driver, self.build):
            return None
        return speed

    async def record(self, device: Device, bandwidth: float, compute: float, share: float) -> None:
        """Keep a measurement of ``device`` in place of an earlier one."""
        self._content.devices[device.id] = DeviceSpeed(
            kind=device.kind, driver=device.driver, build=self.build, bandwidth=bandwidth, compute=compute, share=share
        )
        await self._save()

    async def record_link(self, link: Link, bandwidth: float, latency: float) -> None:
        """Keep a measurement of ``link``, which holds for all of its class."""
        speed = LinkSpeed(build=self.build, bandwidth=bandwidth, latency=latency)
        self._content.links[link_class(link)] = speed
        await self._save()

    async def _save(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._content, order="sorted")).decode() + "\n"
        try:
            await asyncio.to_thread(write, self._file, text)
        except ConfigError as error:
            log.warning("measured speeds are not kept: %s", error)


def link_class(link: Link) -> str:
    """Return what links that need only one measurement have in common.

    The way between two processes is the same all over a socket, and between all memory nodes of one distance. Every
    GPU has a slot of its own.
    """
    if link.kind in ("package", "numa"):
        return f"{link.kind} {link.distance}"
    return " ".join((link.kind, *sorted((link.first, link.second))))


def engine_build() -> str:
    """Return what identifies the installed llama.cpp, compiler flags included: a digest of its files' digests."""
    package = importlib.metadata.distribution("llama-cpp-python")
    files = package.read_text("RECORD") or ""
    return f"{package.version}+{sha256(files.encode()).hexdigest()[:12]}"


def _read(file: Path) -> _Content:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Content)
    except FileNotFoundError:
        return _Content()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("%s: %s; devices will be measured again", file, error)
        return _Content()
