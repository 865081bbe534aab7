"""What a server without a cloud says about the cloud, and about itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pollama.api.services import Services
from tests.api.conftest import Api


class TestWithCloudEnabled:
    @pytest.mark.parametrize(
        ("method", "path", "status", "body"),
        [
            ("GET", "/api/version", 200, b'{"version":"0.0.0"}'),
            ("GET", "/api/status", 200, b'{"cloud":{"disabled":false,"source":"none"}}'),
            ("POST", "/api/me", 503, b'{"error":"account unavailable"}'),
            ("POST", "/api/signout", 500, b'{"error":"there was an error signing out"}'),
            ("DELETE", "/api/user/keys/x", 500, b'{"error":"there was an error signing out"}'),
            ("POST", "/api/experimental/web_search", 400, b'{"error":"missing request body"}'),
        ],
    )
    async def test_fixed_answers(self, api: Api, method: str, path: str, status: int, body: bytes) -> None:
        answer = await api.send(method, path)
        assert (answer.status, answer.body) == (status, body)

    async def test_the_web_needs_an_account(self, api: Api) -> None:
        answer = await api.post("/api/experimental/web_search", {"query": "x"})
        assert (answer.status, answer.body) == (401, b'{"error":"unauthorized"}')

    async def test_recommendations_are_listed_in_order(self, api: Api) -> None:
        answer = await api.get("/api/experimental/model-recommendations")
        assert answer.body.startswith(b'{"recommendations":[{"model":"kimi-k2.6:cloud","description":"')


class TestWithCloudDisabled:
    @pytest.fixture
    def services(self, services: Services) -> Services:
        return replace(services, cloud_disabled=True, cloud_source="env")

    async def test_status_says_why(self, api: Api) -> None:
        assert (await api.get("/api/status")).body == b'{"cloud":{"disabled":true,"source":"env"}}'

    @pytest.mark.parametrize(
        ("path", "body", "what"),
        [
            ("/api/experimental/web_search", {"query": "x"}, "web search is unavailable"),
            ("/api/experimental/web_fetch", {"url": "x"}, "web fetch is unavailable"),
            ("/api/generate", {"model": "x:cloud"}, "remote model is unavailable"),
            ("/api/chat", {"model": "x:cloud"}, "remote model is unavailable"),
            ("/api/embed", {"model": "x:cloud"}, "remote model is unavailable"),
            ("/api/embeddings", {"model": "x:cloud"}, "remote model is unavailable"),
            ("/api/show", {"model": "x:cloud"}, "remote model details are unavailable"),
        ],
    )
    async def test_cloud_features_are_refused(self, api: Api, path: str, body: dict[str, str], what: str) -> None:
        answer = await api.post(path, body)
        assert (answer.status, answer.body) == (403, f'{{"error":"ollama cloud is disabled: {what}"}}'.encode())
