"""Endpoints of Ollama's cloud, as a server without one answers them; and what the server says about itself."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pollama.api.errors import json_response
from pollama.api.services import SERVICES
from pollama.api.web_search import web_unavailable
from pollama.errors import BadRequestError, PollamaError
from pollama.types import gojson
from pollama.types.json import Json

_RECOMMENDATIONS: Final[list[dict[str, Json]]] = [
    {"model": "kimi-k2.6:cloud", "description": "Agentic work and coding with long context"},
    {"model": "glm-5.1:cloud", "description": "Reasoning and code generation"},
    {"model": "qwen3.5:cloud", "description": "Reasoning, coding and agentic tool use with vision"},
    {"model": "minimax-m2.7:cloud", "description": "Coding and productivity at speed"},
    {"model": "gemma4", "description": "Reasoning and code generation on your own machine"},
    {"model": "qwen3.5", "description": "Reasoning, coding and vision on your own machine"},
]


class UnavailableError(PollamaError):
    """A service of Ollama's cloud that this server does not have."""

    status = 503


async def root(_: web.Request) -> web.Response:
    """Answer GET /, which clients use to see whether a server is there."""
    return web.Response(text="Ollama is running", headers={"Content-Type": "text/plain; charset=utf-8"})


async def version(request: web.Request) -> web.Response:
    """Answer GET /api/version."""
    return json_response(gojson.dumps({"version": request.app[SERVICES].version}).encode())


async def status(request: web.Request) -> web.Response:
    """Answer GET /api/status."""
    services = request.app[SERVICES]
    cloud = {"disabled": services.cloud_disabled, "source": services.cloud_source}
    return json_response(gojson.dumps({"cloud": cloud}).encode())


async def me(_: web.Request) -> web.Response:
    """Answer POST /api/me."""
    raise UnavailableError("account unavailable")


async def signout(_: web.Request) -> web.Response:
    """Answer POST /api/signout and DELETE /api/user/keys/{key}."""
    raise PollamaError("there was an error signing out")


async def web_search(request: web.Request) -> web.Response:
    """Answer POST /api/experimental/web_search."""
    return await _web_tool(request, "search")


async def web_fetch(request: web.Request) -> web.Response:
    """Answer POST /api/experimental/web_fetch."""
    return await _web_tool(request, "fetch")


async def recommendations(_: web.Request) -> web.Response:
    """Answer GET /api/experimental/model-recommendations."""
    return json_response(gojson.dumps({"recommendations": _RECOMMENDATIONS}).encode())


async def _web_tool(request: web.Request, verb: str) -> web.Response:
    if not await request.read():
        raise BadRequestError("missing request body")
    raise web_unavailable(request.app[SERVICES], verb)
