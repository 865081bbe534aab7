"""Failures as the Anthropic dialect words them."""

from __future__ import annotations

import secrets
from typing import Final

from pollama.api.godecode import DecodeError
from pollama.errors import PollamaError
from pollama.types.json import Json

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class ThreadRefusedError(DecodeError):
    """A conversation was to be held here. Anthropic's client looks for the details and goes on without."""

    details: Final[dict[str, Json]] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def new_id(prefix: str) -> str:
    """Return an identifier: ``prefix`` and 24 hexadecimal digits."""
    return f"{prefix}{secrets.token_hex(12)}"


def envelope(error: PollamaError) -> Json:
    """Return the error object; ``type`` follows the status."""
    inner: dict[str, Json] = {"type": _TYPES.get(error.status, "api_error"), "message": str(error)}
    if isinstance(error, ThreadRefusedError):
        inner["details"] = error.details
    return {"type": "error", "error": inner, "request_id": new_id("req_")}
