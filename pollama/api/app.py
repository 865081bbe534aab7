"""The web application: routes of every dialect behind one chain of middlewares."""

from __future__ import annotations

import logging
import sys

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from pollama.api.anthropic.routes import anthropic_routes
from pollama.api.hosts import is_loopback
from pollama.api.middleware import (
    answer_failures,
    check_host,
    check_origin,
    finish_headers,
    match_decoded,
    redirect_unclean,
)
from pollama.api.multigpu.routes import multigpu_routes
from pollama.api.ollama.routes import native_routes
from pollama.api.openai.responses.store import RESPONSE_STORE, ResponseStore
from pollama.api.openai.routes import openai_routes
from pollama.api.openapi.routes import openapi_routes
from pollama.api.origins import OriginPolicy
from pollama.api.services import SERVICES, Services

_MAX_HEADER_BYTES = 1 << 16
_DRAIN_SECONDS = 5.0
"""How long answers that are under way may go on after the server was told to stop."""

log = logging.getLogger(__name__)


def create_app(services: Services) -> web.Application:
    """Return the application. Bodies may be of any size."""
    checks: list[Middleware] = [check_host] if is_loopback(services.listen_host) else []
    middlewares: list[Middleware] = [
        redirect_unclean,
        check_origin(OriginPolicy(services.origins)),
        *checks,
        answer_failures,
        match_decoded,
    ]
    app = web.Application(middlewares=middlewares, client_max_size=sys.maxsize)
    app[SERVICES] = services
    app[RESPONSE_STORE] = ResponseStore()
    app.on_response_prepare.append(finish_headers)
    app.add_routes(native_routes())
    app.add_routes(openai_routes())
    app.add_routes(anthropic_routes())
    app.add_routes(multigpu_routes())
    app.add_routes(openapi_routes())
    return app


def create_runner(app: web.Application) -> web.AppRunner:
    """Return what serves ``app``.

    Handlers are cancelled when their client goes away. Bodies are left as they come, whatever Content-Encoding says.
    """
    log.addFilter(_is_no_bad_request)
    return web.AppRunner(
        app,
        access_log=None,
        logger=log,
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=_DRAIN_SECONDS / 2,  # aiohttp waits that long, fails reads of bodies, and waits again
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """Tell whether a record is worth logging: what is not HTTP at all is answered with 400, and no fault of ours."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
