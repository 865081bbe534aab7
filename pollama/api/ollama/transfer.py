"""Long store operations that report progress: /api/create, /api/pull and /api/push; and /api/blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from pollama.api.errors import JSON, JSON_UTF8, error_response, json_response
from pollama.api.ollama import decode, schemas
from pollama.api.ollama.records import present
from pollama.api.services import SERVICES
from pollama.api.streaming import closing, stream
from pollama.errors import InvalidNameError, NameRequiredError, NotFoundError, PollamaError
from pollama.types import gojson
from pollama.types.events import Progress
from pollama.types.ports import Library

_UPLOAD_CHUNK = 1 << 20


async def create(request: web.Request) -> web.StreamResponse:
    """Answer POST /api/create."""
    fields = decode.fields_of(schemas.CREATE, await request.read())
    decode.check_create(fields)
    steps = _creating(request.app[SERVICES].library, fields)
    try:
        return await report(request, steps, streamed=decode.wants_stream(fields))
    except InvalidNameError as error:
        bad_target = error.name == decode.model_name(fields)
        return error_response(error, JSON_UTF8 if bad_target else JSON)


async def pull(request: web.Request) -> web.StreamResponse:
    """Answer POST /api/pull."""
    fields = decode.fields_of(schemas.PULL, await request.read())
    name = decode.model_name(fields)
    if not name:
        raise InvalidNameError(name)
    steps = request.app[SERVICES].library.pull(name, insecure=fields.get("insecure", False))
    return await report(request, steps, streamed=decode.wants_stream(fields))


async def push(request: web.Request) -> web.StreamResponse:
    """Answer POST /api/push."""
    fields = decode.fields_of(schemas.PUSH, await request.read())
    name = decode.model_name(fields)
    if not name:
        raise NameRequiredError
    steps = request.app[SERVICES].library.push(name, insecure=fields.get("insecure", False))
    return await report(request, steps, streamed=decode.wants_stream(fields))


async def _creating(library: Library, fields: dict[str, Any]) -> AsyncIterator[Progress]:
    licenses = decode.licenses_of(fields.get("license"))
    async with closing(library.create(decode.create_request(fields, licenses))) as steps:
        async for step in steps:
            yield step


async def report(request: web.Request, steps: AsyncIterator[Progress], *, streamed: bool) -> web.StreamResponse:
    """Send the steps of an operation, or only the last one where no stream is wanted.

    Raises InvalidNameError; other failures become the answer.
    """
    async with closing(steps):
        try:
            first = await anext(steps, None)
            if streamed:
                return await stream(request, first, steps, _line)
            last = first
            async for step in steps:
                last = step
        except InvalidNameError:
            raise
        except PollamaError as error:
            return error_response(error, JSON)
        return json_response(_line(last).rstrip(), content_type=JSON)


def _line(step: Progress | None) -> bytes:
    if step is None:
        return b""
    sizes = {"digest": step.digest, "total": step.total, "completed": step.completed}
    return gojson.dump_line({"status": step.status, **present(sizes)})


async def head_blob(request: web.Request) -> web.Response:
    """Answer HEAD /api/blobs/{digest}."""
    digest = request.match_info["digest"]
    if not await request.app[SERVICES].library.has_blob(digest):
        raise NotFoundError(f'blob "{digest}" not found')
    return web.Response()


async def post_blob(request: web.Request) -> web.Response:
    """Answer POST /api/blobs/{digest}; a blob that is there already is not read again."""
    digest = request.match_info["digest"]
    library = request.app[SERVICES].library
    if await library.has_blob(digest):
        return web.Response()
    async with library.open_upload(digest) as upload:
        async for chunk in request.content.iter_chunked(_UPLOAD_CHUNK):
            await upload.write(chunk)
        await upload.commit()
    return web.Response(status=201)
