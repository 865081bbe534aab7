"""POST /v1/embeddings."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

from aiohttp import web

from pollama.api.errors import PULL_FIRST, missing_model, unnamed_is_missing
from pollama.api.generation import client_of
from pollama.api.godecode import decode_body
from pollama.api.openai import decode, schemas
from pollama.api.openai.errors import envelope
from pollama.api.services import SERVICES
from pollama.api.v1 import failure, read_body, refusal, success
from pollama.api.vectors import shortest_singles
from pollama.errors import BadRequestError, ModelNotFoundError, NameRequiredError, PollamaError
from pollama.types.events import Embeddings
from pollama.types.json import Json
from pollama.types.requests import EmbedRequest


async def embeddings(request: web.Request) -> web.Response:
    """Answer POST /v1/embeddings."""
    body = await read_body(request)
    try:
        fields: dict[str, Any] = decode_body(schemas.EMBEDDING, body)
        wanted = decode.embed_request(fields)
    except PollamaError as error:
        return refusal(error, envelope)
    try:
        result = await _embed(request, wanted)
    except PollamaError as error:
        return failure(error, envelope)
    as_text = fields.get("encoding_format", "").lower() == "base64"
    return success(_body(wanted.model, result, as_text=as_text))


async def _embed(request: web.Request, wanted: EmbedRequest) -> Embeddings:
    services = request.app[SERVICES]
    try:
        services.library.asks_for_cloud(wanted.model)  # a bad name comes before a bad input
        if not isinstance(wanted.inputs, list) or not all(isinstance(text, str) for text in wanted.inputs):
            raise BadRequestError("invalid input type")
        return await services.inference.embed(wanted, client=client_of(request))
    except NameRequiredError:
        raise unnamed_is_missing() from None
    except ModelNotFoundError as error:
        raise missing_model(error, PULL_FIRST) from None


def _body(model: str, result: Embeddings, *, as_text: bool) -> Json:
    data = [
        {"object": "embedding", "embedding": _base64(vector) if as_text else shortest_singles(vector), "index": index}
        for index, vector in enumerate(result.vectors)
    ]
    usage = {"prompt_tokens": result.prompt_tokens, "total_tokens": result.prompt_tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _base64(vector: list[float]) -> str:
    """Return a vector as base64 of little-endian 32-bit floats."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
