"""Server addresses as ``OLLAMA_HOST`` states them."""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

log = logging.getLogger(__name__)

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 11434
_SCHEME_PORTS: Final = {"http": 80, "https": 443}
_PORT = re.compile(r"[+-]?[0-9]+")
_HOST_SAFE: Final = "!$&'()*+,;=:[]<>\""
_PATH_SAFE: Final = "$&+,/:;=@"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a server listens or is reached. ``port`` is kept as it was written; ``path`` has no leading slash."""

    scheme: str = "http"
    host: str = DEFAULT_HOST
    port: str = str(DEFAULT_PORT)
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> ServerAddress:
        """Read ``[scheme://]host[:port][/path]``; what cannot be a port becomes the scheme's default port.

        Without a scheme the port is 11434; ``http://`` and ``https://`` mean 80 and 443.
        """
        text = text.strip()
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = ("https" if text == "ollama.com" else "http"), text
        default_port = _SCHEME_PORTS.get(scheme, DEFAULT_PORT) if separator or scheme == "https" else DEFAULT_PORT
        netloc, _, path = rest.partition("/")
        host, port = _host_and_port(netloc)
        if port and not _is_port(port):
            log.warning("invalid port, using default: port=%s default=%d", port, default_port)
        return cls(scheme=scheme, host=host, port=port if _is_port(port) else str(default_port), path=path)

    @property
    def port_number(self) -> int:
        """The TCP port; 0 lets the system choose."""
        return int(self.port)

    @property
    def netloc(self) -> str:
        """``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a URL, escaped."""
        scheme = f"{self.scheme}:" if self.scheme else ""
        slash = "/" if self.path and not self.path.startswith("/") else ""
        return f"{scheme}//{quote(self.netloc, _HOST_SAFE)}{slash}{quote(self.path, _PATH_SAFE)}"

    def connectable(self) -> ServerAddress:
        """Return the address a client dials: loopback in the place of "all interfaces"."""
        address = _ip(self.host)
        if address is None or not address.is_unspecified:
            return self
        return replace(self, host="127.0.0.1" if address.version == 4 else "::1")


def _host_and_port(netloc: str) -> tuple[str, str]:
    """Split ``netloc``; the port is "" where there is none."""
    split = _split(netloc)
    if split is not None:
        return split
    address = _ip(netloc.strip("[]"))
    return (str(address) if address else netloc or DEFAULT_HOST), ""


def _split(netloc: str) -> tuple[str, str] | None:
    """Return host and port of ``host:port`` or ``[host]:port``, None for any other form."""
    match = re.fullmatch(r"\[([^\[\]]*)\]:([^:\[\]]*)|([^:\[\]]*):([^:\[\]]*)", netloc, re.DOTALL)
    if match is None:
        return None
    bracketed, bracketed_port, host, port = match.groups()
    return (host, port) if bracketed is None else (bracketed, bracketed_port)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address without a zone; an IPv4 address mapped into IPv6 is that IPv4 address."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and 0 <= int(text) <= 65535
