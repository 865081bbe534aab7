"""Bodies of the native dialect to pollama's requests."""

from __future__ import annotations

from typing import Any

from pollama.api.generation import check_top_logprobs
from pollama.api.godecode import DecodeError, EmptyBodyError, List, String, Struct, decode_body, decode_value
from pollama.api.messages import tool_from
from pollama.api.multigpu.wish import wish_from
from pollama.errors import BadRequestError, PollamaError
from pollama.types.library import CreateRequest
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest, Format


def fields_of(schema: Struct, body: bytes) -> dict[str, Any]:
    """Return the given fields of a body. Raises BadRequestError."""
    try:
        fields: dict[str, Any] = decode_body(schema, body)
    except EmptyBodyError:
        raise BadRequestError("missing request body") from None
    return fields


def wants_stream(fields: dict[str, Any]) -> bool:
    """Return whether the answer is a stream; only an explicit false says no."""
    return fields.get("stream") is not False


def model_name(fields: dict[str, Any]) -> str:
    """Return ``model``, or the old field ``name`` where that is empty."""
    return fields.get("model") or fields.get("name") or ""


def completion_request(fields: dict[str, Any]) -> CompletionRequest:
    """Return the request of /api/generate. Raises BadRequestError for ``top_logprobs`` out of range."""
    own = {name: fields[name] for name in ("prompt", "suffix", "system", "template", "raw", "images") if name in fields}
    return CompletionRequest(**_generation(fields), **own, context=fields.get("context"))


def chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Return the request of /api/chat. Raises BadRequestError for ``top_logprobs`` out of range."""
    tools = [tool_from(tool) for tool in fields.get("tools", ())]
    return ChatRequest(**_generation(fields), messages=fields.get("messages", []), tools=tools)


def _generation(fields: dict[str, Any]) -> dict[str, Any]:
    check_top_logprobs(fields.get("top_logprobs", 0))
    same = ("options", "keep_alive", "think", "truncate", "shift", "logprobs", "top_logprobs")
    return {
        "model": fields.get("model", ""),
        "format": Format(given="format" in fields, value=fields.get("format")),
        "debug_render_only": fields.get("_debug_render_only", False),
        "wish": wish_from(fields.get("multi_gpu")),
        **{name: fields[name] for name in same if name in fields},
    }


def embed_request(fields: dict[str, Any], inputs: list[str]) -> EmbedRequest:
    """Return the request of /api/embed for texts that ``embed_inputs`` has checked."""
    return EmbedRequest(
        model=fields.get("model", ""),
        inputs=inputs,
        truncate=fields.get("truncate") is not False,
        dimensions=fields.get("dimensions", 0),
        keep_alive=fields.get("keep_alive"),
        options=fields.get("options", {}),
    )


def embed_inputs(value: Any) -> list[str] | None:
    """Return the texts of ``input``, none for an empty one, None for a value of the wrong type."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def embedding_request(fields: dict[str, Any]) -> EmbedRequest:
    """Return the request of the old /api/embeddings: one text, the raw vector, never truncated."""
    prompt = fields.get("prompt", "")
    return EmbedRequest(
        model=fields.get("model", ""),
        inputs=[prompt] if prompt else [],
        keep_alive=fields.get("keep_alive"),
        options=fields.get("options", {}),
        truncate=False,
        normalize=False,
    )


def licenses_of(value: Any) -> list[str]:
    """Return the texts of ``license``. Raises PollamaError: Ollama finds a wrong type when it is already at work."""
    try:
        return [value] if isinstance(value, str) and value else decode_value(List(String()), value or None) or []
    except DecodeError as error:
        raise PollamaError(str(error)) from None


def create_request(fields: dict[str, Any], licenses: list[str]) -> CreateRequest:
    """Return the request of /api/create; ``check_create`` has found nothing wrong with its fields."""
    texts = ("template", "system", "messages", "renderer", "parser", "requires", "draft_quantize", "remote_host")
    maps = ("files", "adapters", "draft_files", "parameters", "info")
    return CreateRequest(
        model=model_name(fields),
        source=fields.get("from", ""),
        quantize=fields.get("quantize") or fields.get("quantization") or "",
        licenses=licenses,
        **{name: fields[name] for name in texts + maps if name in fields},
    )


def check_create(fields: dict[str, Any]) -> None:
    """Raise BadRequestError for files that cannot be meant."""
    _check_paths(fields.get("files"))
    _check_paths(fields.get("draft_files"))
    _check_digests(fields.get("adapters"))
    if fields.get("draft_quantize") and not fields.get("draft_files"):
        raise BadRequestError("--draft-quantize requires a DRAFT model")


def _check_paths(files: dict[str, str] | None) -> None:
    for path, digest in (files or {}).items():
        if path != "." and any(part in ("", ".", "..") for part in path.split("/")):
            raise BadRequestError("file path must be relative")
        _check_digest(digest)


def _check_digests(files: dict[str, str] | None) -> None:
    for digest in (files or {}).values():
        _check_digest(digest)


def _check_digest(digest: str) -> None:
    if not digest:
        raise BadRequestError("invalid digest format")
