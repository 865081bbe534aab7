"""Failures as the Anthropic dialect words them."""

from __future__ import annotations

import secrets
from typing import Final

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


def new_id(prefix: str) -> str:
    """Return an identifier: ``prefix`` and 24 hexadecimal digits."""
    return f"{prefix}{secrets.token_hex(12)}"


def envelope(error: PollamaError) -> Json:
    """Return the error object; ``type`` follows the status."""
    inner = {"type": _TYPES.get(error.status, "api_error"), "message": str(error)}
    return {"type": "error", "error": inner, "request_id": new_id("req_")}
