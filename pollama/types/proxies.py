"""Which proxy an address is reached through, by the rules of HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies for both schemes ("" for none) and the comma-separated list of hosts that need none."""

    http: str = ""
    https: str = ""
    exceptions: str = ""

    def proxy_of(self, url: str) -> str | None:
        """Return the URL of the proxy for ``url``, or None; this machine is never reached through one."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or self._is_direct(parts.hostname or ""):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _is_direct(self, host: str) -> bool:
        names = [name.strip().lstrip(".") for name in self.exceptions.split(",") if name.strip()]
        excepted = any(name in {"*", host} or host.endswith(f".{name}") for name in names)
        return excepted or _is_local(host)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
