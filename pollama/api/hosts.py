"""The Host header check of a loopback server: it keeps pages of other sites from reaching it by a DNS trick."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final, Literal

import psutil

Verdict = Literal["name", "address", "refused"]
"""``name`` and ``address``: an allowed host of that form."""

_PRIVATE: Final = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal")
_HOST_PORT: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):[^:\[\]]*")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Tell whether ``host``, an address to listen on, can only be reached from this machine."""
    address = _parse_address(host)
    return address is not None and address.is_loopback


def judge_host(header: str) -> Verdict:
    """Judge a Host header as it was sent."""
    host = _without_port(header)
    address = _parse_address(host)
    if address is not None:
        return "address" if _is_local(address) else "refused"
    return "name" if _is_local_name(host.lower()) else "refused"


def _without_port(header: str) -> str:
    match = _HOST_PORT.fullmatch(header)
    if match is None:
        return header
    bracketed, plain = match.groups()
    return plain if bracketed is None else str(bracketed)


def _parse_address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_local(address: Address) -> bool:
    if address.is_loopback or address.is_unspecified:
        return True
    return any(address in network for network in _PRIVATE) or address in _interface_addresses()


def _is_local_name(name: str) -> bool:
    return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_SUFFIXES)


def _interface_addresses() -> set[Address]:
    texts = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
    return {address for text in texts if (address := _parse_address(text.partition("%")[0])) is not None}
