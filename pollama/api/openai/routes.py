"""The routes of the OpenAI dialect."""

from __future__ import annotations

from aiohttp import web

from pollama.api.openai import chat, completions, embeddings, models, transcription
from pollama.api.openai.responses.routes import responses


def openai_routes() -> list[web.RouteDef]:
    """Return every route of the dialect."""
    return [
        web.post("/v1/chat/completions", chat.chat_completions),
        web.post("/v1/completions", completions.completions),
        web.post("/v1/responses", responses),
        web.post("/v1/embeddings", embeddings.embeddings),
        web.get("/v1/models", models.list_models, allow_head=False),
        web.get("/v1/models/{model}", models.retrieve_model, allow_head=False),
        web.post("/v1/audio/transcriptions", transcription.transcriptions),
    ]
