"""HTTP to one registry: redirects, tokens, proxies, and answers that are errors."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from pollama.clock import Clock, SystemClock
from pollama.models.registry import auth, keys
from pollama.models.registry.pacing import MissingError, Pace, RegistryError, StalledError, TransientError
from pollama.types.proxies import Proxies
from pollama.types.useragent import user_agent

_MAX_REDIRECTS: Final = 10
_NONCE_BYTES: Final = 16
_READ_BYTES: Final = 1 << 19
_MAX_ERROR_BYTES: Final = 1 << 16
_TIMES: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=300)
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_PASSING: Final = frozenset((408, 429, 500, 502, 503, 504))
_EXPIRED: Final = frozenset((401, 403))
"""Answers for parts when a token or a signed URL has become too old, which another attempt gets anew."""

MAX_MANIFEST_BYTES: Final = 16 << 20

Headers = Mapping[str, str]
Body = Callable[[], AsyncIterator[bytes] | bytes]
"""Makes the body of a request, once more for each attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """What speaking to registries takes. ``key`` is the file of the user's identity."""

    key: Path
    proxies: Proxies = field(default_factory=Proxies)
    pace: Pace = field(default_factory=Pace)
    clock: Clock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def connect(self, base: str, token: str = "") -> AsyncIterator[RegistryClient]:
        """Open a client of the registry at ``base`` (``scheme://host``), with a token that was got before."""
        async with aiohttp.ClientSession(timeout=_TIMES, read_bufsize=_READ_BYTES, trust_env=False) as session:
            yield RegistryClient(self, session, base, token)


class RegistryClient:
    """Requests of one pull or push. All methods raise RegistryError; TransientError is worth another attempt."""

    def __init__(self, access: RegistryAccess, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self.base = base
        self.pace = access.pace
        self.token = token
        self._access = access
        self._session = session

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, headers: Headers | None = None, body: Body | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to the registry, following redirects, and yield the answer when it is no error."""
        async with self._authorized(method, url, headers or {}, body, self._followed) as response:
            yield response

    @asynccontextmanager
    async def request_here(
        self, method: str, url: str, *, headers: Headers | None = None, body: Body | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """As ``request``, but a redirect is the caller's to follow."""
        async with self._authorized(method, url, headers or {}, body, self._sent) as response:
            yield response

    async def direct_url(self, url: str) -> str:
        """Return where the bytes of a blob are: ``url`` itself or the other server that the registry redirects to."""
        for _ in range(_MAX_REDIRECTS):
            async with self.request_here("GET", url) as response:
                target = _location(response, url)
            if target is None or not self._is_own(target):
                return target or url
            url = target
        raise RegistryError(f"maximum redirects exceeded ({_MAX_REDIRECTS}) for directURL")

    @asynccontextmanager
    async def range(self, url: str, first: int, last: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for the bytes ``first`` to ``last`` of a blob; other servers are told nothing of this user.

        Raises StalledError when none arrives for the time of the pace.
        """
        headers = {"Range": f"bytes={first}-{last}", "User-Agent": "Go-http-client/1.1"}
        times = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=self.pace.stall)
        async with self._followed("GET", url, headers, None, times) as response:
            await _check(response, _PASSING | _EXPIRED)
            yield response

    async def put_elsewhere(self, url: str, headers: Headers, body: Body) -> None:
        """Send a part of an upload to the server that the registry named."""
        async with self._sent("PUT", url, {"User-Agent": user_agent(), **headers}, body, _TIMES) as response:
            await _check(response)

    @asynccontextmanager
    async def _authorized(
        self, method: str, url: str, headers: Headers, body: Body | None, send: _Send
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; when the registry demands a token, get one and send it once more."""
        async with send(method, url, {"User-Agent": user_agent(), **headers}, body, _TIMES) as response:
            if response.status != 401:
                await _check(response)
                yield response
                return
            challenge = auth.parse_challenge(response.headers.get("WWW-Authenticate", ""))
        self.token = await self._new_token(challenge, url)
        async with send(method, url, {"User-Agent": user_agent(), **headers}, body, _TIMES) as response:
            if response.status == 401:
                raise RegistryError("unauthorized: access denied")
            await _check(response)
            yield response

    async def _new_token(self, challenge: auth.Challenge, requested: str) -> str:
        now = self._access.clock.time()
        url = challenge.token_url(requested, now=now, nonce=secrets.token_bytes(_NONCE_BYTES))
        identity = await asyncio.to_thread(keys.load_or_create, self._access.key)
        headers = {"Authorization": identity.authorization(auth.signed_text(url)), "User-Agent": user_agent()}
        async with self._followed("GET", url, headers, None, _TIMES) as response:
            if response.status >= 400:
                text = await _text(response)
                raise RegistryError(f"{response.status}: {text}" if text else str(response.status))
            try:
                return msgspec.json.decode(await response.read(), type=_Token).token
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RegistryError(f"token of {self.base} cannot be understood: {error}") from error

    @asynccontextmanager
    async def _followed(
        self, method: str, url: str, headers: Headers, body: Body | None, times: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and follow redirects; a signature goes nowhere else than where it was meant for."""
        for _ in range(_MAX_REDIRECTS):
            async with self._sent(method, url, headers, body, times) as response:
                target = _location(response, url)
                if target is None:
                    yield response
                    return
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = target
        raise RegistryError(f'{method.capitalize()} "{url}": stopped after {_MAX_REDIRECTS} redirects')

    @asynccontextmanager
    async def _sent(
        self, method: str, url: str, headers: Headers, body: Body | None, times: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request, with the token only when it goes to the registry itself."""
        if self.token and self._is_own(url):
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        with _transport_errors(method, url):
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body() if body else None,
                allow_redirects=False,
                skip_auto_headers=("Accept-Encoding",) if "Range" in headers else (),
                proxy=self._proxy(url),
                timeout=times,
            ) as response:
                yield response

    def _is_own(self, url: str) -> bool:
        return URL(url).origin() == URL(self.base).origin()

    def _proxy(self, url: str) -> str | None:
        proxy = self._access.proxies.proxy_of(url)
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise RegistryError(f"proxy {URL(proxy).with_user(None)}: only http and https proxies are supported")
        return proxy


class _Token(msgspec.Struct):
    token: str


_Send = Callable[
    [str, str, Headers, Body | None, aiohttp.ClientTimeout],
    AbstractAsyncContextManager[aiohttp.ClientResponse],
]


def _location(response: aiohttp.ClientResponse, url: str) -> str | None:
    """Return the absolute URL that an answer redirects to. Raises RegistryError for one that is not http."""
    location = response.headers.get("Location", "")
    if response.status not in _REDIRECTS or not location:
        return None
    target = urljoin(url, location)
    if not target.startswith(("http://", "https://")):
        raise RegistryError(f"{url} redirects to {target}, which is no address of HTTP")
    return target


async def _check(response: aiohttp.ClientResponse, passing: frozenset[int] = _PASSING) -> None:
    if response.status == 404:
        raise MissingError
    if response.status >= 400:
        kind = TransientError if response.status in passing else RegistryError
        raise kind(f"{response.status}: {await _text(response)}")


async def _text(response: aiohttp.ClientResponse) -> str:
    return (await response.content.read(_MAX_ERROR_BYTES)).decode(errors="replace")


@contextmanager
def _transport_errors(method: str, url: str) -> Iterator[None]:
    """Turn failures of the connection into TransientError, in the form that users of a Go client know."""
    try:
        yield
    except aiohttp.SocketTimeoutError as error:
        raise StalledError(f'{method.capitalize()} "{url}": {error}') from error
    except aiohttp.ClientSSLError as error:
        raise TransientError(f'{method.capitalize()} "{url}": tls: {error}') from error
    except aiohttp.ClientConnectorError as error:
        reason = (error.strerror or str(error)).lower()
        text = f"dial tcp {error.host}:{error.port}: connect: {reason}"
        raise TransientError(f'{method.capitalize()} "{url}": {text}') from error
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise TransientError(f'{method.capitalize()} "{url}": {error or type(error).__name__}') from error
