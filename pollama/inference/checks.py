"""What a request may ask of a model: remote stubs, thinking, raw mode, formats. Texts and order are Ollama's."""

from __future__ import annotations

from collections.abc import Sequence

from pollama.errors import BadRequestError, ForbiddenError, FormatError, GenerationError
from pollama.types import gojson
from pollama.types.generation import RunnerInfo
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.messages import Think
from pollama.types.model import Model
from pollama.types.requests import ChatRequest, CompletionRequest, Format, GenerationRequest


def refuse_remote(model: Model, *, cloud_disabled: bool) -> None:
    """Raise for a stub of a model that lives on somebody else's machine: pollama has no cloud to forward to."""
    if not model.stored.config.remote_host:
        return
    if cloud_disabled:
        raise ForbiddenError("ollama cloud is disabled: remote model is unavailable")
    raise BadRequestError("this server cannot run this remote model")


def effective_think(model: Model, request: GenerationRequest) -> Think:
    """Return the think value that holds for this request.

    Unset means on for a model that can think. Raises BadRequestError where thinking is asked of one that cannot.
    """
    if "thinking" in model.capabilities:
        think: Think = True if request.think is None else request.think
        return "high" if think == "max" and model.traits.selected == "harmony" else think
    if request.lenient_think:
        return None
    if request.think:
        raise BadRequestError(f"{go_quote(request.model)} does not support thinking")
    return request.think


def require_completion(model: Model, request: GenerationRequest, verb: str) -> None:
    """Raise BadRequestError for a model that cannot produce text; ``verb`` is ``chat`` or ``generate``."""
    if "completion" not in model.capabilities:
        raise BadRequestError(f"{go_quote(request.model)} does not support {verb}")


def require_capability(model: Model, capability: str) -> None:
    """Raise BadRequestError for a model without ``capability``."""
    if capability not in model.capabilities:
        raise BadRequestError(f"{model.stored.name} does not support {capability}")


def check_tool_choice(request: ChatRequest) -> None:
    """Raise BadRequestError where a call is required and there is nothing, or not what is named, to call."""
    choice = request.tool_choice
    if choice.mode != "required":
        return
    if not request.tools:
        raise BadRequestError("tool_choice requires a call, but the request has no tools")
    if choice.name and choice.name not in (tool.name for tool in request.tools):
        raise BadRequestError(f"tool_choice names {go_quote(choice.name)}, which is none of the request's tools")


def check_raw(request: CompletionRequest) -> None:
    """Raise BadRequestError where raw mode meets fields that it would silently ignore."""
    if request.raw and (request.template or request.system or request.context):
        raise BadRequestError("raw mode does not support template, system, or context")


def check_media(model: Model, media: Sequence[bytes], info: RunnerInfo, *, native: bool) -> None:
    """Raise BadRequestError or GenerationError for images or sounds that the loaded model cannot take in.

    The status depends on who drives the conversation, as it does in Ollama.
    """
    if not media:
        return
    config = model.stored.config
    if len(media) > 1 and "mllama" in (config.model_families or ()):
        raise BadRequestError("this model only supports one image while more than one image requested")
    if not (info.vision or info.audio):
        raise GenerationError(
            f"{model.stored.short_name} has no projector: it takes neither images nor audio", 500 if native else 400
        )


def checked_format(request_format: Format) -> Json:
    """Return None, ``"json"`` or a JSON schema. Raises FormatError for anything else."""
    value = request_format.value
    if value is None or value == "":
        return None
    if value == "json" or isinstance(value, dict):
        return value
    raw = gojson.dumps(value)
    raise FormatError(f'invalid format: {go_quote(raw)}; expected "json" or a valid JSON Schema object')
