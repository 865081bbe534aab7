"""Devices, replicas, plans and settings as they are now. Nothing here changes anything."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pollama.api.errors import json_response
from pollama.api.multigpu import encode
from pollama.api.residents import by_model
from pollama.api.services import SERVICES
from pollama.errors import NameRequiredError
from pollama.types import gojson
from pollama.types.json import Json
from pollama.types.options import Options


async def topology(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/topology: the devices and what joins them."""
    services = request.app[SERVICES]
    devices = [use.device for use in await services.scheduler.devices()]
    links = await asyncio.to_thread(services.links, devices)
    return json_answer({"devices": list(map(encode.device, devices)), "links": list(map(encode.link, links))})


async def status(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/status: the settings, and what is on the devices."""
    services = request.app[SERVICES]
    uses = await services.scheduler.devices()
    loaded = by_model(services.scheduler.residents())
    return json_answer(
        {
            **_chosen(services.settings.describe()),
            "devices": list(map(encode.device_use, uses)),
            "models": list(map(encode.loaded_model, loaded)),
            "queue": {"waiting": services.scheduler.waiting},
            "moves": list(map(encode.move, services.steering.moves())),
        }
    )


def _chosen(settings: dict[str, Json]) -> dict[str, Json]:
    multi_gpu = settings["multi_gpu"]
    return {name: multi_gpu[name] for name in ("enabled", "strategy", "data_parallel")}


async def models(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/models: the replicas of every loaded model, with their plans and caches."""
    services = request.app[SERVICES]
    statuses = await services.steering.statuses()
    loaded = by_model(services.scheduler.residents())
    return json_answer({"models": [encode.planned_model(replicas, statuses) for replicas in loaded]})


async def plan(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/plan?model=NAME: what would be done with a model, and why."""
    services = request.app[SERVICES]
    name = request.query.get("model", "")
    if not name:
        raise NameRequiredError
    model = await services.library.resolve(name)
    preview = await services.scheduler.preview(model, Options().updated(model.stored.parameters))
    return json_answer({"model": model.stored.short_name, **encode.preview(preview)})


async def config(request: web.Request) -> web.Response:
    """Answer GET /api/multigpu/config: the settings for several devices, and where each comes from."""
    return json_answer(request.app[SERVICES].settings.describe())


def json_answer(value: Json) -> web.Response:
    """Return a record of /api/multigpu."""
    return json_response(gojson.dumps(value).encode())
