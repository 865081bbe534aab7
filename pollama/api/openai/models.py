"""GET /v1/models and /v1/models/{model}."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from pollama.api.cloud import DETAILS, cloud_disabled, refuse_cloud_name
from pollama.api.openai.errors import envelope
from pollama.api.services import SERVICES
from pollama.api.v1 import failure, success
from pollama.errors import BadRequestError, PollamaError
from pollama.types.json import Json


async def list_models(request: web.Request) -> web.Response:
    """Answer GET /v1/models; an empty store has null, not an empty list."""
    try:
        listings = await request.app[SERVICES].library.list()
    except PollamaError as error:
        return failure(error, envelope)
    data = [_model(listing.name, listing.modified_at, listing.name) for listing in listings]
    return success({"object": "list", "data": data or None})


async def retrieve_model(request: web.Request) -> web.Response:
    """Answer GET /v1/models/{model}. A name with a namespace is not one segment of a path."""
    name = request.match_info["model"]
    if "/" in name:
        raise web.HTTPNotFound
    services = request.app[SERVICES]
    with suppress(BadRequestError):
        refuse_cloud_name(services, name, DETAILS)
    try:
        stored = (await services.library.describe(name)).model.stored
        if stored.config.remote_host and services.cloud_disabled:
            raise cloud_disabled(DETAILS)
    except PollamaError as error:
        return failure(error, envelope)
    return success(_model(name, stored.modified_at, stored.short_name))


def _model(shown: str, modified_at: float, short_name: str) -> dict[str, Json]:
    return {"id": shown, "object": "model", "created": int(modified_at), "owned_by": _namespace(short_name)}


def _namespace(short_name: str) -> str:
    """Return the namespace of a short name, which leaves out that of Ollama's own models."""
    path = short_name.split("/")
    return path[-2] if len(path) > 1 else "library"
