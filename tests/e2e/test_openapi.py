"""The description of the API is true: every route is in it, and what a real server answers follows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pollama.api.openapi.document import document
from pollama.api.openapi.operations import OPERATIONS
from pollama.api.openapi.requests import BODIES
from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Server, running_server
from tests.test_docs import application, routes

DESCRIPTION = document(application(), "0")
API = schemathesis.openapi.from_dict(
    DESCRIPTION,
    config=SchemathesisConfig.from_dict(
        {
            "phases": {"coverage": {"enabled": False}},
            "generation": {"mode": "positive", "with-security-parameters": False},
        }
    ),
)
EXAMPLES = 6
UNREACHABLE = "127.0.0.1:1/a/b"

FAILING = {
    "DELETE /api/user/keys/{key}": "there was an error signing out",
    "POST /api/me": "account unavailable",
    "POST /api/signout": "there was an error signing out",
    "POST /api/create": "cannot unmarshal",
    "POST /api/pull": "connect call failed",
    "POST /api/push": "no such file or directory",
    "POST /v1/audio/transcriptions": "no projector",
}
"""What some routes say with a status from 500 on, as Ollama does: no account service, no such registry, …"""


def test_every_route_is_in_the_description_and_nothing_else() -> None:
    described = {f"{method.upper()} {path}" for path, item in DESCRIPTION["paths"].items() for method in item}
    assert described == routes()


def test_every_route_says_what_it_answers() -> None:
    assert routes() == set(OPERATIONS)
    assert set(BODIES) <= set(OPERATIONS)
    assert all(operation["summary"] for item in DESCRIPTION["paths"].values() for operation in item.values())


def test_the_description_is_served(server: Server) -> None:
    served = server.json("GET", "/openapi.json")
    assert served["paths"] == DESCRIPTION["paths"]
    assert served["components"] == DESCRIPTION["components"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model of its own, which anything may happen to."""
    with running_server(tmp_path_factory.mktemp("scratch"), OLLAMA_CONTEXT_LENGTH="512") as running:
        create_from_file(running, "probe", MODELS / "probe.gguf")
        yield running


def test_an_upload_follows_the_description(scratch: Server) -> None:
    content = b"a blob"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = API["/api/blobs/{digest}"]["POST"].Case(
        path_parameters={"digest": digest}, body=content, media_type="application/octet-stream"
    )
    checks = [status_code_conformance]
    statuses = [upload.call_and_validate(base_url=scratch.url, checks=checks).status_code for _ in range(2)]
    assert statuses == [201, 200]
    assert {"200", "201"} < DESCRIPTION["paths"]["/api/blobs/{digest}"]["post"]["responses"].keys()


def tamed(case: Case[Any]) -> Case[Any]:
    """Return a case that takes little time: a model that is there, few tokens, no other machine."""
    schema = BODIES.get(case.operation.label)
    if schema is not None and isinstance(case.body, dict):
        names = {"/api/pull": UNREACHABLE, "/api/push": UNREACHABLE, "/api/create": "scratch", "/api/delete": "scratch"}
        short: dict[str, Any] = {
            "max_tokens": 2,
            "max_completion_tokens": 2,
            "max_output_tokens": 2,
            "options": {"num_predict": 2},
        }
        body: dict[str, Any] = {**case.body, "model": names.get(case.operation.path, "probe")}
        case.body = {
            **body,
            **{name: value for name, value in short.items() if name in schema.fields},
        }
    return case


def fails_as_ollama(context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Check that a failure of the server is one that it is known for."""
    if response.status_code >= 500:
        assert FAILING.get(case.operation.label, "\0") in response.text
    return None


@API.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
def test_answers_follow_the_description(case: Case[Any], scratch: Server) -> None:
    tamed(case).call_and_validate(
        base_url=scratch.url,
        timeout=60,
        checks=[fails_as_ollama, status_code_conformance, content_type_conformance, response_schema_conformance],
    )
