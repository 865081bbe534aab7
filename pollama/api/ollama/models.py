"""What there is: /api/tags, /api/ps, /api/show, /api/copy and /api/delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from pollama.api import timestamps
from pollama.api.cloud import DETAILS, cloud_disabled, refuse_cloud_name
from pollama.api.errors import json_response, missing_model
from pollama.api.messages import encode_message
from pollama.api.ollama import decode, schemas
from pollama.api.ollama.records import present
from pollama.api.residents import by_model
from pollama.api.services import SERVICES
from pollama.errors import ModelNotFoundError, NameRequiredError
from pollama.types import gojson
from pollama.types.json import Json
from pollama.types.library import ModelDescription, ModelDetails, ModelListing, TensorInfo
from pollama.types.messages import Message
from pollama.types.ports import Resident

_COPILOT = "GitHubCopilotChat/"


async def tags(request: web.Request) -> web.Response:
    """Answer GET /api/tags."""
    listings = await request.app[SERVICES].library.list()
    return _json({"models": [_listing(listing) for listing in listings]})


async def ps(request: web.Request) -> web.Response:
    """Answer GET /api/ps."""
    models = by_model(request.app[SERVICES].scheduler.residents())
    return _json({"models": [_resident(replicas) for replicas in models]})


async def show(request: web.Request) -> web.Response:
    """Answer POST /api/show."""
    services = request.app[SERVICES]
    fields = decode.fields_of(schemas.SHOW, await request.read())
    name = decode.model_name(fields)
    if not name:
        raise NameRequiredError
    refuse_cloud_name(services, name, DETAILS)
    description = await services.library.describe(
        name,
        system=fields.get("system", ""),
        options=fields.get("options"),
        verbose=fields.get("verbose", False),
    )
    if description.model.stored.config.remote_host and services.cloud_disabled:
        raise cloud_disabled(DETAILS)
    answer = _description(description, fields)
    if request.headers.get("User-Agent", "").startswith(_COPILOT):
        answer["model_info"] = dict(sorted({**description.model_info, "general.basename": name}.items()))
    return _json(answer)


async def copy(request: web.Request) -> web.Response:
    """Answer POST /api/copy."""
    fields = decode.fields_of(schemas.COPY, await request.read())
    try:
        await request.app[SERVICES].library.copy(fields.get("source", ""), fields.get("destination", ""))
    except ModelNotFoundError as error:
        raise missing_model(error) from None
    return web.Response()


async def delete(request: web.Request) -> web.Response:
    """Answer DELETE /api/delete."""
    fields = decode.fields_of(schemas.DELETE, await request.read())
    await request.app[SERVICES].library.delete(decode.model_name(fields))
    return web.Response()


def _json(value: Json) -> web.Response:
    return json_response(gojson.dumps(value).encode())


def _details(details: ModelDetails) -> dict[str, Json]:
    return {
        "parent_model": details.parent_model,
        "format": details.format,
        "family": details.family,
        "families": details.families,
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
    }


def _listing(listing: ModelListing) -> dict[str, Json]:
    lengths = {
        "context_length": listing.details.context_length,
        "embedding_length": listing.details.embedding_length,
    }
    return {
        "name": listing.name,
        "model": listing.name,
        **present({"remote_model": listing.remote_model, "remote_host": listing.remote_host}),
        "modified_at": timestamps.local(listing.modified_at),
        "size": listing.size,
        "digest": listing.digest,
        "details": {**_details(listing.details), **present(lengths)},
        **present({"capabilities": listing.capabilities}),
    }


def _resident(replicas: Sequence[Resident]) -> dict[str, Json]:
    """Return a loaded model; the bytes are those of all its replicas."""
    resident = replicas[0]
    stored = resident.model.stored
    config = stored.config
    details = ModelDetails(
        format=config.model_format,
        family=config.model_family,
        families=config.model_families,
        parameter_size=config.model_type,
        quantization_level=config.file_type,
    )
    return {
        "name": stored.short_name,
        "model": stored.short_name,
        "size": sum(replica.total_bytes for replica in replicas),
        "digest": stored.digest,
        "details": _details(details),
        "expires_at": timestamps.local(resident.expires_at),
        "size_vram": sum(replica.gpu_bytes for replica in replicas),
        "context_length": resident.info.context_length if resident.info else resident.plan.context_length,
    }


def _description(description: ModelDescription, fields: dict[str, Any]) -> dict[str, Json]:
    stored = description.model.stored
    config = stored.config
    before = {
        "license": "\n".join(stored.licenses),
        "modelfile": description.modelfile,
        "parameters": description.parameters,
        "template": description.template,
        "system": fields.get("system") or stored.system,
    }
    between = {
        "messages": [encode_message(Message(role=preset.role, content=preset.content)) for preset in stored.messages],
        "remote_model": config.remote_model,
        "remote_host": config.remote_host,
    }
    after = {
        "projector_info": description.projector_info,
        "tensors": [_tensor(tensor) for tensor in description.tensors],
        "capabilities": description.model.capabilities,
    }
    return {
        **present(before),
        "details": _details(description.details),
        **present(between),
        "model_info": description.model_info,
        **present(after),
        "modified_at": timestamps.local(stored.modified_at),
        **present({"requires": config.requires}),
    }


def _tensor(tensor: TensorInfo) -> dict[str, Json]:
    return {"name": tensor.name, "type": tensor.type, "shape": tensor.shape}
