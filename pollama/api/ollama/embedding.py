"""POST /api/embed and the older /api/embeddings."""

from __future__ import annotations

from aiohttp import web

from pollama.api.cloud import refuse_cloud_name
from pollama.api.errors import PULL_FIRST, json_response, missing_model, unnamed_is_missing
from pollama.api.generation import client_of
from pollama.api.ollama import decode, schemas
from pollama.api.ollama.records import present
from pollama.api.services import SERVICES
from pollama.api.vectors import shortest_singles
from pollama.errors import (
    BadRequestError,
    GenerationError,
    ModelNotFoundError,
    NameRequiredError,
    PollamaError,
    RunnerDiedError,
)
from pollama.types import gojson
from pollama.types.events import Embeddings


async def embed(request: web.Request) -> web.Response:
    """Answer POST /api/embed."""
    services = request.app[SERVICES]
    fields = decode.fields_of(schemas.EMBED, await request.read())
    try:
        refuse_cloud_name(services, fields.get("model", ""))
        inputs = decode.embed_inputs(fields.get("input"))
        if inputs is None:
            raise BadRequestError("invalid input type")
        result = await services.inference.embed(decode.embed_request(fields, inputs), client=client_of(request))
    except NameRequiredError:
        raise unnamed_is_missing() from None
    except ModelNotFoundError as error:
        raise missing_model(error, PULL_FIRST) from None
    except RunnerDiedError as error:
        raise BadRequestError(str(error)) from None  # a failure without a status of its own is 400 here
    return json_response(_embed_body(fields.get("model", ""), result))


async def embeddings(request: web.Request) -> web.Response:
    """Answer POST /api/embeddings: one vector, as the engine gave it. What the engine refuses is 500 here."""
    fields = decode.fields_of(schemas.EMBEDDING, await request.read())
    wanted = decode.embedding_request(fields)
    services = request.app[SERVICES]
    refuse_cloud_name(services, wanted.model)
    try:
        result = await services.inference.embed(wanted, client=client_of(request))
    except ModelNotFoundError as error:
        raise missing_model(error, PULL_FIRST) from None
    except (GenerationError, BadRequestError) as error:
        raise PollamaError(str(error)) from None
    vector = result.vectors[0] if result.vectors else []
    return json_response(gojson.dumps({"embedding": vector}).encode())


def _embed_body(model: str, result: Embeddings) -> bytes:
    fields = {"model": model, "embeddings": [shortest_singles(vector) for vector in result.vectors]}
    measures = {
        "total_duration": result.total_duration,
        "load_duration": result.load_duration,
        "prompt_eval_count": result.prompt_tokens,
    }
    return gojson.dumps({**fields, **present(measures)}).encode()
