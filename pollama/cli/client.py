"""The command line's connection to a server: blocking requests, streamed answers."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Final, Protocol

from pollama.cli.errors import ApiError, CliError, ConnectionRefusedByServerError, NotSignedInError
from pollama.config import Config
from pollama.types.address import DEFAULT_HOST, ServerAddress
from pollama.types.json import Json
from pollama.types.proxies import Proxies
from pollama.types.useragent import user_agent

_READ_BYTES: Final = 1 << 16


class Readable(Protocol):
    """A body that is read piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        ...


class Client:
    """Talks to the server at one address. Raises CliError for whatever goes wrong."""

    def __init__(self, config: Config) -> None:
        address = config.host
        self.address = replace(address, host=DEFAULT_HOST) if not address.host else address
        self._sign = _signer(config) if config.auth else None
        proxies = urllib.request.ProxyHandler(_proxies(config, self.address))
        self._opener = urllib.request.build_opener(proxies, _AnyStatus())

    def heartbeat(self) -> None:
        """Ask whether the server is there. Raises ConnectionRefusedByServerError when nothing listens."""
        self._open("HEAD", "/").close()

    def get(self, path: str) -> Json:
        """Return the JSON answer of a GET."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Json) -> Json:
        """Return the JSON answer of a POST."""
        return self._call("POST", path, body)

    def put(self, path: str, body: Json) -> Json:
        """Return the JSON answer of a PUT."""
        return self._call("PUT", path, body)

    def delete(self, path: str, body: Json) -> None:
        """Send a DELETE."""
        self._call("DELETE", path, body)

    def stream(self, path: str, body: Json) -> Generator[Json, None, None]:
        """POST and yield the records of the answer as they arrive; closing the iterator cancels the request."""
        with closing(self._open("POST", path, json.dumps(body).encode())) as response:
            if response.status >= 400:
                raise _failure(response.read(), response.status, f"{response.status} {response.reason}", streamed=True)
            for line in _lines(response):
                yield _record(line)

    def has_blob(self, digest: str) -> bool:
        """Tell whether the server stores a blob."""
        with closing(self._open("HEAD", f"/api/blobs/{digest}")) as response:
            return response.status < 400

    def upload(self, digest: str, content: Readable, size: int) -> None:
        """Send a blob of ``size`` bytes."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with closing(self._open("POST", f"/api/blobs/{digest}", content, headers)) as response:
            _checked(response)

    def _call(self, method: str, path: str, body: Json) -> Json:
        with closing(self._open(method, path, None if body is None else json.dumps(body).encode())) as response:
            content = _checked(response)
        return _decoded(content) if content else None

    def _open(
        self, method: str, path: str, body: bytes | Readable | None = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        sent = {"Content-Type": "application/json", "Accept": "application/x-ndjson", "User-Agent": user_agent()}
        if self._sign:
            path = f"{path}?ts={int(time.time())}"
            sent["Authorization"] = self._sign(f"{method},{path}")
        url = f"{self.address.url.rstrip('/')}{path}"
        request = urllib.request.Request(url, data=body, headers=sent | (headers or {}), method=method)  # noqa: S310
        try:
            response: HTTPResponse = self._opener.open(request)
        except urllib.error.URLError as error:
            raise _unreachable(method, url, error.reason) from error
        except (OSError, HTTPException) as error:
            raise _unreachable(method, url, error) from error
        return response


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Hands answers of every status to the caller."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


def _signer(config: Config) -> Callable[[str], str]:
    """Return what makes the Authorization header for a text, with the user's key. Raises StoreError."""
    from pollama.models.registry.keys import load_or_create  # noqa: PLC0415  (few need the cryptography)

    return load_or_create(config.home / ".ollama" / "id_ed25519").authorization


def _proxies(config: Config, address: ServerAddress) -> dict[str, str]:
    """Return the proxy for an address by its scheme, if there is one."""
    proxies = Proxies(config.http_proxy, config.https_proxy, config.no_proxy)
    proxy = proxies.proxy_of(address.url)
    return {address.scheme: proxy} if proxy else {}


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the lines of an answer as they arrive. Raises CliError when the connection breaks before its end."""
    rest = b""
    try:
        while piece := response.read1(_READ_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from filter(None, lines)
    except (OSError, HTTPException) as error:
        raise CliError("the server closed the connection before the answer was complete") from error
    if rest:
        yield rest


def _record(line: bytes) -> Json:
    """Decode one streamed record; a record that is an error is raised."""
    record = _decoded(line)
    if record.get("signin_url"):
        raise NotSignedInError(record.get("error", ""), record["signin_url"])
    if record.get("error"):
        raise ApiError(record["error"], 200)
    return record


def _decoded(content: bytes) -> Json:
    try:
        return json.loads(content)
    except ValueError as error:
        raise CliError(f"the answer is not one of an Ollama server: {error}") from error


def _checked(response: HTTPResponse) -> bytes:
    """Return the body of an answer that is not a failure."""
    content = response.read()
    if response.status >= 400:
        raise _failure(content, response.status, f"{response.status} {response.reason}", streamed=False)
    return content


def _failure(content: bytes, status: int, status_line: str, *, streamed: bool) -> ApiError:
    """Return the error of an answer; streaming calls name the status before the server's text."""
    try:
        record = json.loads(content)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        record = {"error": content.decode("utf-8", "replace").rstrip("\n")}
    text = record.get("error", "")
    if status == 401:
        unhandled = status_line if streamed else "something went wrong, please see the ollama server logs for details"
        return NotSignedInError(unhandled, record.get("signin_url", ""))
    if not streamed:
        return ApiError(text or status_line, status)
    return ApiError(f"{status_line}: {text}" if text else status_line, status)


def _unreachable(method: str, url: str, reason: object) -> CliError:
    if isinstance(reason, ConnectionRefusedError):
        return ConnectionRefusedByServerError(url)
    if isinstance(reason, RemoteDisconnected):
        reason = "EOF"
    elif isinstance(reason, ConnectionResetError):
        reason = "connection reset by peer"
    elif isinstance(reason, socket.gaierror):
        host = urllib.request.Request(url).host  # noqa: S310
        reason = f"dial tcp: lookup {host.rpartition(':')[0]}: no such host"
    return CliError(f'{method.capitalize()} "{url}": {reason}')
