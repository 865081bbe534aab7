"""Failures as the native dialect words them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pollama.errors import (
    FormatError,
    GenerationError,
    ModelNotFoundError,
    NotFoundError,
    PollamaError,
    PromptTooLongError,
    RunnerDiedError,
)
from pollama.types import gojson

JSON: Final = "application/json"
JSON_UTF8: Final = "application/json; charset=utf-8"
NDJSON: Final = "application/x-ndjson"

PULL_FIRST: Final = ", try pulling it first"
"""What the embedding endpoints add about a missing model."""

RUNNING_ERRORS: Final = (GenerationError, RunnerDiedError, FormatError, PromptTooLongError)
"""Failures that come from a generation at work; a stream that ends on one before its first record shows it."""


def error_body(error: PollamaError) -> bytes:
    """Return the native envelope."""
    return gojson.dumps({"error": str(error)}).encode()


def error_response(error: PollamaError, content_type: str = JSON_UTF8) -> web.Response:
    """Return a failure as a whole answer."""
    return json_response(error_body(error), status=error.status, content_type=content_type)


def json_response(body: bytes, *, status: int = 200, content_type: str = JSON_UTF8) -> web.Response:
    """Return a JSON body with the exact Content-Type header given."""
    return web.Response(body=body, status=status, headers={"Content-Type": content_type})


def unnamed_is_missing() -> PollamaError:
    """Return how generate and embed word a request without a model name: as a model that is not there."""
    return ModelNotFoundError("")


def missing_model(error: ModelNotFoundError, hint: str = "") -> PollamaError:
    """Return how the copying and embedding endpoints word a missing model."""
    return NotFoundError(f'model "{error.name}" not found{hint}')
