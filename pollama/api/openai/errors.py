"""Failures as the OpenAI dialect words them."""

from __future__ import annotations

from typing import Final

from pollama.api.streaming import sse
from pollama.errors import PollamaError
from pollama.types import gojson
from pollama.types.json import Json

_TYPES: Final = {400: "invalid_request_error", 404: "not_found_error"}


def envelope(error: PollamaError) -> Json:
    """Return the error object; ``type`` follows the status."""
    kind = _TYPES.get(error.status, "api_error")
    return {"error": {"message": str(error), "type": kind, "param": None, "code": None}}


def broken_stream(error: PollamaError) -> bytes:
    """Return what a stream that fails ends with: the error instead of a chunk, and no end mark."""
    return sse(gojson.dumps(envelope(error)))
