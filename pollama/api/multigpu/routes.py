"""The routes of /api/multigpu."""

from __future__ import annotations

from aiohttp import web

from pollama.api.multigpu import views


def multigpu_routes() -> list[web.RouteDef]:
    """Return every route of /api/multigpu."""
    return [
        web.get("/api/multigpu/topology", views.topology, allow_head=False),
        web.get("/api/multigpu/status", views.status, allow_head=False),
        web.get("/api/multigpu/models", views.models, allow_head=False),
        web.get("/api/multigpu/plan", views.plan, allow_head=False),
    ]
