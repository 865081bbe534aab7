"""The OpenAPI document, made from the routes of the application, the decoders' schemas and the types of answers."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute

from pollama.api.errors import JSON, NDJSON
from pollama.api.openapi.kinds import schema_of
from pollama.api.openapi.operations import EVENTS, FAILURES, OPERATIONS, PLAIN, Operation
from pollama.api.openapi.requests import BODIES

_REFERENCE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

Document = dict[str, Any]


def document(app: web.Application, version: str) -> Document:
    """Return the description of every route of ``app``."""
    types = {found for operation in OPERATIONS.values() for found in (operation.answer, operation.body)} - {None}
    described = sorted({*types, *FAILURES.values()}, key=str)
    schemas, components = msgspec.json.schema_components(described, ref_template=_REFERENCE)
    by_type = dict(zip(described, schemas, strict=True))
    paths: Document = {}
    for route in app.router.routes():
        if route.resource is not None and route.method != "*":
            path = route.resource.canonical
            paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, by_type)
    info = {
        "title": "pollama",
        "version": version,
        "description": "Ollama's API, and OpenAI's and Anthropic's beside it",
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": components}}


def _operation(route: AbstractRoute, path: str, by_type: dict[Any, Document]) -> Document:
    name = f"{route.method} {path}"
    operation = OPERATIONS[name]
    return {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", name.lower()).strip("_"),
        **_parameters(path, operation),
        **_body(name, operation, by_type),
        "responses": {
            "200": _success(operation, by_type),
            **({"201": {"description": "created"}} if operation.creates else {}),
            "default": _failure(operation, by_type, head=route.method == "HEAD"),
        },
    }


def _parameters(path: str, operation: Operation) -> Document:
    places = {**dict.fromkeys(_PARAMETER.findall(path), "path"), **dict.fromkeys(operation.query, "query")}
    shape = {"required": True, "schema": {"type": "string", "minLength": 1}}
    return {"parameters": [{"name": name, "in": place, **shape} for name, place in places.items()]} if places else {}


def _body(name: str, operation: Operation, by_type: dict[Any, Document]) -> Document:
    if name in BODIES:
        content = {JSON: {"schema": schema_of(BODIES[name], operation.required)}}
    elif operation.body is not None:
        content = {JSON: {"schema": by_type[operation.body]}}
    elif name in _FORMS:
        content = _FORMS[name]
    else:
        return {}
    return {"requestBody": {"required": True, "content": content}}


def _success(operation: Operation, by_type: dict[Any, Document]) -> Document:
    content: Document = {}
    if operation.answer is not None:
        content[JSON] = {"schema": by_type[operation.answer]}
    if operation.streamed:
        content[operation.streamed] = {"schema": _STREAMS[operation.streamed]}
    if operation.plain:
        content[PLAIN] = {"schema": {"type": "string"}}
    return {"description": "carried out", **({"content": content} if content else {})}


def _failure(operation: Operation, by_type: dict[Any, Document], *, head: bool) -> Document:
    content = {JSON: {"schema": by_type[FAILURES[operation.failing]]}, PLAIN: {"schema": {"type": "string"}}}
    return {"description": "not carried out, and why", **({} if head else {"content": content})}


_TEXT: Final = {"type": "string"}
_EVENT: Final = {"type": "object", "properties": {"event": _TEXT, "data": _TEXT}, "required": ["data"]}
_STREAMS: Final[dict[str, Document]] = {
    EVENTS: {"description": "each server-sent event; its data are JSON, but for a final [DONE]", **_EVENT},
    NDJSON: {"description": "JSON objects, one in a line"},
}
_TRANSCRIPTION: Final = {
    "type": "object",
    "properties": {
        "model": _TEXT,
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "language": _TEXT,
        "prompt": _TEXT,
        "response_format": {"enum": ["json", "text"]},
    },
    "required": ["model", "file"],
}
_FORMS: Final[dict[str, Document]] = {
    "POST /v1/audio/transcriptions": {"multipart/form-data": {"schema": _TRANSCRIPTION}},
    "POST /api/blobs/{digest}": {"application/octet-stream": {"schema": {}}},
}
"""Bodies that are not JSON."""
