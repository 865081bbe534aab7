"""GET /openapi.json."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from pollama.api.errors import json_response
from pollama.api.openapi.document import document
from pollama.api.services import SERVICES


def openapi_routes() -> list[web.RouteDef]:
    """Return the route of the description."""
    return [web.get("/openapi.json", openapi, allow_head=False)]


async def openapi(request: web.Request) -> web.Response:
    """Answer GET /openapi.json: the description of this API."""
    described = await asyncio.to_thread(document, request.app, request.app[SERVICES].version)
    return json_response(msgspec.json.encode(described))
