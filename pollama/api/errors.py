"""Failures as the native dialect words them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pollama.errors import (
    FormatError,
    GenerationError,
    ModelNotFoundError,
    NameRequiredError,
    PollamaError,
    PromptTooLongError,
    RunnerDiedError,
)
from pollama.types import gojson

JSON: Final = "application/json"
JSON_UTF8: Final = "application/json; charset=utf-8"
NDJSON: Final = "application/x-ndjson"

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


def unnamed_is_missing(error: PollamaError) -> PollamaError:
    """Return ``error`` as generate and embed word it: a model without a name is one that was not found."""
    return ModelNotFoundError("") if isinstance(error, NameRequiredError) else error


class PullFirstError(ModelNotFoundError):
    """A model is not there, as the embedding endpoints word it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.args = (f'model "{name}" not found, try pulling it first',)


def pull_first(error: PollamaError) -> PollamaError:
    """Return ``error`` with the hint that the embedding endpoints give for a missing model."""
    if isinstance(error, ModelNotFoundError) and error.name:
        return PullFirstError(error.name)
    return error
