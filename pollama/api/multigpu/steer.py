"""What changes something: the settings of a running server, and where replicas are."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pollama.api.multigpu import encode
from pollama.api.multigpu.views import json_answer
from pollama.api.services import SERVICES
from pollama.errors import BadRequestError, ConfigError, NameRequiredError

T = TypeVar("T")


class MigrateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which replica goes where; ``devices`` by id or name, ``replica`` where the model has several."""

    model: str
    devices: list[str]
    replica: int | None = None


async def change_config(request: web.Request) -> web.Response:
    """Answer PUT /api/multigpu/config: obey other settings from now on, keep them, and show what counts now."""
    settings = request.app[SERVICES].settings
    changes = await _body(request, dict[str, Any])
    if not changes:
        raise BadRequestError("nothing to change: give settings nested as in the YAML file")
    try:
        await settings.update(changes)
    except ConfigError as error:
        raise BadRequestError(str(error)) from error
    return json_answer(settings.describe())


async def rebalance(request: web.Request) -> web.Response:
    """Answer POST /api/multigpu/rebalance: plan anew; the moves that have begun."""
    moves = await request.app[SERVICES].steering.rebalance()
    return json_answer({"moves": list(map(encode.move, moves))})


async def migrate(request: web.Request) -> web.Response:
    """Answer POST /api/multigpu/migrate: the move of one replica, which has begun."""
    services = request.app[SERVICES]
    body = await _body(request, MigrateBody)
    if not body.model:
        raise NameRequiredError
    if not body.devices:
        raise BadRequestError("devices is empty: name the devices to move to by id or name")
    model = await services.library.resolve(body.model)
    return json_answer(encode.move(await services.steering.migrate(model, body.devices, replica=body.replica)))


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is not as it should be: {error}") from error
