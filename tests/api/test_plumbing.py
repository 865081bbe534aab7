"""Paths, methods, CORS and the host check."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pollama.api.anthropic.routes import anthropic_routes
from pollama.api.hosts import judge_host
from pollama.api.multigpu.routes import multigpu_routes
from pollama.api.ollama.routes import native_routes
from pollama.api.openai.routes import openai_routes
from pollama.api.origins import OriginPolicy
from pollama.types.events import Piece
from tests.api.conftest import Api

TAKING_BODIES = sorted(
    f"{route.method} {route.path}"
    for routes in (native_routes, openai_routes, anthropic_routes, multigpu_routes)
    for route in routes()
    if route.method in {"POST", "PUT", "DELETE"} and "{" not in route.path
)


def first_bytes(body: bytes) -> str:
    return repr(body[:10])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api%2Ftags", 200),
        ("GET", "/api%2ftags?x=%2F", 200),
        ("POST", "/api%2Ftags", 405),
        ("POST", "/v1%2Fchat/completions", 400),
        ("HEAD", "/api/blobs%2Fsha256-x", 404),
        ("HEAD", "/api/blobs/sha256%2Fx", 404),
        ("GET", "/api%2Fnothing", 404),
    ],
)
async def test_an_escaped_slash_is_a_slash(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.send(method, path, b"{}" if method == "POST" else None)
    assert answer.status == status


async def test_root_says_that_a_server_is_there(api: Api) -> None:
    answer = await api.get("/")
    assert (answer.status, answer.body, answer.content_type) == (200, b"Ollama is running", "text/plain; charset=utf-8")
    assert "Server" not in answer.headers


async def test_head_is_answered_without_a_body(api: Api) -> None:
    answer = await api.send("HEAD", "/api/version")
    assert (answer.status, answer.body, answer.content_type) == (200, b"", "application/json; charset=utf-8")


@pytest.mark.parametrize("body", [b"\xff", b'{"model":"\xff"}', b"[" * 100_000, b'{"model":' * 50_000], ids=first_bytes)
@pytest.mark.parametrize("path", TAKING_BODIES)
async def test_a_body_that_no_client_means_is_no_failure_of_the_server(api: Api, path: str, body: bytes) -> None:
    method, _, path = path.partition(" ")
    answer = await api.send(method, path, body)
    assert answer.status < 500 or b'"error"' in answer.body


@pytest.mark.parametrize("path", ["/nope", "/API/TAGS", "/v1/nope", "/api/tagsx/"])
async def test_an_unknown_path_is_404(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert (answer.status, answer.body, answer.content_type) == (404, b"404 page not found", "text/plain")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "HEAD, GET"),
        ("PUT", "/api/show", "POST"),
        ("GET", "/api/delete", "DELETE"),
        ("GET", "/api/blobs/x", "HEAD, POST"),
    ],
)
async def test_a_wrong_method_is_405_and_names_the_right_ones(api: Api, method: str, path: str, allow: str) -> None:
    answer = await api.send(method, path)
    assert (answer.status, answer.body, answer.headers["Allow"]) == (405, b"405 method not allowed", allow)


async def test_head_on_a_get_route_is_405(api: Api) -> None:
    assert (await api.send("HEAD", "/api/ps")).status == 405


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("GET", "/api/tags/?x=1&y", 301, "/api/tags?x=1&y"),
        ("GET", "/api/tags/?a=%0D%0AX:1", 301, "/api/tags?a=%0D%0AX:1"),
        ("HEAD", "/api/tags/", 307, "/api/tags"),
        ("POST", "/api/generate/", 307, "/api/generate"),
        ("GET", "/api//tags", 307, "/api/tags"),
        ("POST", "//api/chat", 307, "/api/chat"),
    ],
)
async def test_untidy_paths_are_redirected(api: Api, method: str, path: str, status: int, location: str) -> None:
    answer = await api.send(method, path, Origin="http://evil.example")
    assert (answer.status, answer.headers["Location"]) == (status, location)


async def test_a_redirect_has_a_body_for_get_only(api: Api) -> None:
    assert (await api.get("/api//tags")).body == b'<a href="/api/tags">Temporary Redirect</a>.\n\n'
    assert (await api.get("/api/tags/")).body == b'<a href="/api/tags">Moved Permanently</a>.\n\n'
    assert (await api.post("/api/generate/")).body == b""


async def test_an_escaped_letter_is_the_same_path(api: Api) -> None:
    assert (await api.get("/api/t%61gs")).status == 200


async def test_a_slash_too_many_on_a_path_of_another_method_is_404(api: Api) -> None:
    assert (await api.post("/api/tags/")).status == 404


async def test_an_allowed_origin_gets_its_name_back(api: Api) -> None:
    answer = await api.get("/api/version", Origin="http://localhost:3000")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/api/version", "/nope"])
async def test_a_foreign_origin_is_refused_everywhere(api: Api, path: str) -> None:
    answer = await api.get(path, Origin="http://example.com")
    assert (answer.status, answer.body) == (403, b"")
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_servers_own_pages_get_no_cors_headers(api: Api) -> None:
    answer = await api.get("/api/version", Origin=api.base)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_preflight_is_answered_for_every_path(api: Api) -> None:
    answer = await api.send("OPTIONS", "/api/chat", Origin="http://localhost")
    assert (answer.status, answer.body, answer.headers["Allow"]) == (204, b"", "POST")
    assert answer.headers["Access-Control-Max-Age"] == "43200"
    assert answer.headers["Vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


async def test_every_origin_is_allowed_with_a_star() -> None:
    policy = OriginPolicy(["*", "http://localhost"])
    assert policy.allows("https://anything.example")
    assert policy.headers("https://anything.example", preflight=False) == [("Access-Control-Allow-Origin", "*")]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a.foo.com", True), ("https://foo.com", False), ("http://LOCALHOST", False), ("null", False)],
)
def test_a_star_stands_for_a_part_of_an_origin(origin: str, allowed: bool) -> None:
    assert OriginPolicy(["https://*.foo.com", "http://localhost"]).allows(origin) is allowed


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("", "name"),
        ("localhost:11434", "name"),
        ("box.local", "name"),
        ("local", "refused"),
        ("localhost.", "refused"),
        ("example.com:80", "refused"),
        ("127.0.0.1:1", "address"),
        ("192.168.1.5", "address"),
        ("0.0.0.0:11434", "address"),
        ("8.8.8.8", "refused"),
        ("[::1]:11434", "address"),
        ("[::1]", "refused"),
        ("169.254.7.9", "refused"),
    ],
)
def test_hosts_are_judged_by_name_and_address(host: str, verdict: str) -> None:
    assert judge_host(host) == verdict


async def test_a_foreign_host_is_refused(api: Api) -> None:
    answer = await api.get("/api/version", Host="example.com")
    assert (answer.status, answer.body) == (403, b"")


async def test_options_without_origin_ends_at_a_named_host(api: Api) -> None:
    assert (await api.send("OPTIONS", "/api/chat", Host="localhost")).status == 204
    assert (await api.send("OPTIONS", "/api/chat")).status == 405


async def test_a_defect_is_500_without_a_body(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.inference.events = [ZeroDivisionError("a defect")]
    answer = await api.post("/api/generate", {"model": "m", "prompt": "x"})
    assert (answer.status, answer.body) == (500, b"")
    assert "a defect" in caplog.text


async def test_a_defect_under_way_cuts_the_answer_off(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.inference.events = [Piece(content="a"), ZeroDivisionError("a defect")]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.base.rpartition(":")[2]))
    body = b'{"model":"m","prompt":"x"}'
    writer.write(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    assert (answer.count(b"HTTP/1.1"), answer.count(b'"response":"a"')) == (1, 1)
    assert not answer.endswith(b"0\r\n\r\n")
    assert "a defect" in caplog.text
    writer.close()
    await writer.wait_closed()


async def test_what_is_not_http_is_refused_without_a_word(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.base.rpartition(":")[2]))
    writer.write(b"\x16\x03\x01 not http\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert caplog.records == []


async def test_a_client_that_leaves_at_once_is_nothing_to_report(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.inference.events = [Piece(content="a")]
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"model":"m"}'
    writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []
