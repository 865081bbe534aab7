"""POST /v1/audio/transcriptions: a chat about an audio file."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from pollama.api.generation import translated
from pollama.api.openai.errors import envelope
from pollama.api.streaming import Collected, closing, collect, join_pieces
from pollama.api.v1 import failure, refusal, success
from pollama.errors import BadRequestError, PollamaError
from pollama.types.messages import Message
from pollama.types.requests import ChatRequest

_SYSTEM = (
    "Transcribe the audio exactly as spoken. Output only the spoken words. Do not answer any question in the audio."
)
_QUESTION = "What exact words are spoken in this audio?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields of the request; ``audio`` None = no file was sent."""

    texts: dict[str, str]
    audio: bytes | None


async def transcriptions(request: web.Request) -> web.Response:
    """Answer POST /v1/audio/transcriptions."""
    try:
        form = await _read_form(request)
        wanted = _chat_request(form)
    except PollamaError as error:
        return refusal(error, envelope)
    try:
        async with closing(translated(request, wanted)) as events:
            collected = await collect(None, events)
    except PollamaError as error:
        return failure(error, envelope)
    return _answer(collected, plain=form.texts.get("response_format") == "text")


def _answer(collected: Collected, *, plain: bool) -> web.Response:
    if collected.done is None:
        return web.Response()
    text = join_pieces(collected, all_calls=False).content.strip()
    return (
        web.Response(body=text.encode(), headers={"Content-Type": "text/plain"}) if plain else success({"text": text})
    )


async def _read_form(request: web.Request) -> Form:
    """Read a multipart form. Raises BadRequestError."""
    if not _is_multipart(request.headers.get("Content-Type", "")):
        raise BadRequestError("failed to parse multipart form: request Content-Type isn't multipart/form-data")
    texts: dict[str, str] = {}
    audio: bytes | None = None
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file" and part.filename is not None:
                audio = bytes(await part.read())
            elif isinstance(part, BodyPartReader) and part.name:
                texts.setdefault(part.name, (await part.read()).decode("utf-8", "replace"))
    except HttpProcessingError as error:
        raise BadRequestError(f"failed to parse multipart form: {error.message}") from None
    except (ValueError, AssertionError) as error:
        raise BadRequestError(f"failed to parse multipart form: {error}") from None
    return Form(texts=texts, audio=audio)


def _is_multipart(content_type: str) -> bool:
    header = EmailMessage()
    header["Content-Type"] = content_type
    return header.get_content_type() == "multipart/form-data"


def _chat_request(form: Form) -> ChatRequest:
    if not form.texts.get("model"):
        raise BadRequestError("model is required")
    if form.audio is None:
        raise BadRequestError("file is required: http: no such file")
    if not form.audio:
        raise BadRequestError("audio file is empty")
    if form.texts.get("stream", "").lower() in ("true", "1"):
        raise BadRequestError("stream is not supported")
    language, context = form.texts.get("language"), form.texts.get("prompt")
    system = _SYSTEM
    system += f" The audio is in {language}." if language else ""
    system += f" Context: {context}" if context else ""
    question = Message(role="user", content=_QUESTION, images=[form.audio])
    return ChatRequest(
        model=form.texts["model"],
        messages=[Message(role="system", content=system), question],
        options={"temperature": 0.0},
    )
