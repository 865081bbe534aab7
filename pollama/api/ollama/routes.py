"""The routes of the native dialect."""

from __future__ import annotations

from aiohttp import web

from pollama.api.ollama import account, embedding, generation, models, transfer


def native_routes() -> list[web.RouteDef]:
    """Return every route outside ``/v1``. HEAD works only where it is listed."""
    return [
        web.head("/", account.root),
        web.get("/", account.root, allow_head=False),
        web.head("/api/version", account.version),
        web.get("/api/version", account.version, allow_head=False),
        web.get("/api/status", account.status, allow_head=False),
        web.head("/api/tags", models.tags),
        web.get("/api/tags", models.tags, allow_head=False),
        web.get("/api/ps", models.ps, allow_head=False),
        web.post("/api/show", models.show),
        web.post("/api/generate", generation.generate),
        web.post("/api/chat", generation.chat),
        web.post("/api/embed", embedding.embed),
        web.post("/api/embeddings", embedding.embeddings),
        web.post("/api/create", transfer.create),
        web.post("/api/pull", transfer.pull),
        web.post("/api/push", transfer.push),
        web.post("/api/copy", models.copy),
        web.delete("/api/delete", models.delete),
        web.head("/api/blobs/{digest}", transfer.head_blob),
        web.post("/api/blobs/{digest}", transfer.post_blob),
        web.post("/api/me", account.me),
        web.post("/api/signout", account.signout),
        web.delete("/api/user/keys/{key}", account.signout),
        web.post("/api/experimental/web_search", account.web_search),
        web.post("/api/experimental/web_fetch", account.web_fetch),
        web.get("/api/experimental/model-recommendations", account.recommendations, allow_head=False),
    ]
