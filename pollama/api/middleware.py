"""What happens around every handler: paths, CORS, the host check, and failures.

The order is Ollama's: a path that is not clean or has a slash too many is redirected before anything else; then CORS,
then the host check, also for unknown paths and methods; then the handler of the decoded path.
"""

from __future__ import annotations

import html
import logging
import posixpath
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict
from yarl import URL

from pollama.api.errors import error_response
from pollama.api.hosts import judge_host
from pollama.api.origins import OriginPolicy, is_same_origin
from pollama.errors import PollamaError

log = logging.getLogger(__name__)

_METHOD_ORDER: Final = (hdrs.METH_HEAD, hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_DELETE)
_PATH_SAFE: Final = "/$&+,:;=@"
_EXTRA_HEADERS: Final = web.RequestKey("extra_headers", CIMultiDict[str])
_STARTED: Final = web.RequestKey("started", web.StreamResponse)


@web.middleware
async def redirect_unclean(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Redirect paths with double slashes, dot segments or a slash too many."""
    clean = _clean_path(request.path)
    if clean != request.path:
        return _redirect(request, clean, 307, "Temporary Redirect")
    if await _has_slash_too_many(request):
        permanent = request.method == hdrs.METH_GET
        status, reason = (301, "Moved Permanently") if permanent else (307, "Temporary Redirect")
        return _redirect(request, request.path[:-1], status, reason)
    return await handler(request)


def _clean_path(path: str) -> str:
    if not path:
        return "/"
    normal = posixpath.normpath(path).replace("//", "/")
    return normal + "/" if path.endswith("/") and normal != "/" else normal


async def _has_slash_too_many(request: web.Request) -> bool:
    if request.path == "/" or not request.path.endswith("/"):
        return False
    shorter = request.clone(rel_url=URL.build(path=request.path[:-1]))
    match = await request.app.router.resolve(shorter)
    return match.http_exception is None


def _redirect(request: web.Request, path: str, status: int, reason: str) -> web.Response:
    raw = request.rel_url.raw_query_string  # an escaped line break must not become one in the header
    query = f"?{raw}" if raw else ""
    target = quote(path, safe=_PATH_SAFE) + query
    headers = {"Location": target}
    if request.method in (hdrs.METH_GET, hdrs.METH_HEAD):
        headers["Content-Type"] = "text/html; charset=utf-8"
    body = f'<a href="{html.escape(target)}">{reason}</a>.\n\n' if request.method == hdrs.METH_GET else None
    return web.Response(status=status, headers=headers, text=body)


def check_origin(policy: OriginPolicy) -> Middleware:
    """Return the middleware that applies CORS rules."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        extra: CIMultiDict[str] = CIMultiDict(_allow_header(request))
        request[_EXTRA_HEADERS] = extra
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin and not is_same_origin(origin, request.headers.get(hdrs.HOST, "")):
            if not policy.allows(origin):
                return web.Response(status=403)
            preflight = request.method == hdrs.METH_OPTIONS
            extra.extend(policy.headers(origin, preflight=preflight))
            if preflight:
                return web.Response(status=204)
        return await handler(request)

    return check


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests whose Host header names neither this machine nor its network."""
    verdict = judge_host(request.headers.get(hdrs.HOST, ""))
    if verdict == "refused":
        return web.Response(status=403)
    if verdict == "name" and request.method == hdrs.METH_OPTIONS:
        return web.Response(status=204)
    return await handler(request)


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn failures into answers: those a client is told about, unknown paths and methods, and defects."""
    try:
        return await handler(request)
    except PollamaError as error:
        return error_response(error)
    except web.HTTPMethodNotAllowed:
        return _plain(405, "405 method not allowed")
    except web.HTTPNotFound:
        return _plain(404, "404 page not found")
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        if _STARTED in request:
            return _cut_off(request)
        return web.Response(status=500)


@web.middleware
async def match_decoded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Match paths as Go does, by their decoded form: an escaped slash separates segments like any other."""
    if "%2f" not in request.rel_url.raw_path.lower():
        return await handler(request)
    decoded = request.clone(rel_url=request.rel_url.with_path(request.path, keep_query=True))
    match = await request.app.router.resolve(decoded)
    if match.http_exception is not None:
        raise match.http_exception
    match.add_app(request.app)
    decoded._match_info = match  # the only way: aiohttp has matched the request before any middleware sees it
    return await match.handler(decoded)


def _cut_off(request: web.Request) -> web.StreamResponse:
    """Return the answer that was begun, behind a closed connection: a second one inside it would be taken for data."""
    if request.transport is not None:
        request.transport.close()
    return request[_STARTED]


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what the middlewares decided, and take away what Go's server does not send."""
    request[_STARTED] = response
    if _EXTRA_HEADERS in request:
        response.headers.extend(request[_EXTRA_HEADERS])
    response.headers.popall(hdrs.SERVER, None)
    if response.headers.get(hdrs.CONTENT_TYPE) == "application/octet-stream":
        del response.headers[hdrs.CONTENT_TYPE]


def _allow_header(request: web.Request) -> Iterable[tuple[str, str]]:
    failure = request.match_info.http_exception
    if not isinstance(failure, web.HTTPMethodNotAllowed):
        return []
    methods = [method for method in _METHOD_ORDER if method in failure.allowed_methods]
    return [(hdrs.ALLOW, ", ".join(methods))]


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": "text/plain"})
