"""The routes of /api/multigpu."""

from __future__ import annotations

from aiohttp import web

from pollama.api.multigpu import steer, views
from pollama.api.multigpu.performance import performance


def multigpu_routes() -> list[web.RouteDef]:
    """Return every route of /api/multigpu."""
    return [
        web.get("/api/multigpu/topology", views.topology, allow_head=False),
        web.get("/api/multigpu/status", views.status, allow_head=False),
        web.get("/api/multigpu/models", views.models, allow_head=False),
        web.get("/api/multigpu/plan", views.plan, allow_head=False),
        web.get("/api/multigpu/performance", performance, allow_head=False),
        web.get("/api/multigpu/config", views.config, allow_head=False),
        web.put("/api/multigpu/config", steer.change_config),
        web.post("/api/multigpu/rebalance", steer.rebalance),
        web.post("/api/multigpu/migrate", steer.migrate),
    ]
