"""The connection to the server, when it is not a plain one."""

from __future__ import annotations

import base64
import re
import socket
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from tests.cli.conftest import Cli
from tests.cli.scripted import Script, ScriptedServer


def test_an_answer_that_breaks_off_is_an_error(cli: Cli, script: Script) -> None:
    script.on("POST /api/pull", {"status": "pulling manifest"}, ending="broken")
    outcome = cli("pull", "m")
    assert outcome.status == 1
    assert outcome.err.endswith("\nError: the server closed the connection before the answer was complete\n")


def test_a_server_elsewhere_is_reached_through_the_proxy(
    cli: Cli, script: Script, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://pollama.test:8080")
    monkeypatch.setenv("http_proxy", f"http://{server.address}")
    script.on("GET http://pollama.test:8080/api/tags", {"models": []})
    assert cli("list").status == 0


def test_a_server_on_this_machine_is_reached_without_the_proxy(
    cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    script.on("GET /api/tags", {"models": []})
    assert cli("list").status == 0


def test_a_server_can_be_excepted_from_the_proxy(
    cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "nobody.invalid")
    monkeypatch.setenv("HTTP_PROXY", f"http://{server.address}")
    monkeypatch.setenv("NO_PROXY", "example.test,.invalid")
    assert "no such host" in cli("list").err


def test_a_path_in_the_address_is_kept(
    cli: Cli, script: Script, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{server.address}/behind/")
    script.on("GET /behind/api/tags", {"models": []})
    assert cli("list").status == 0


def test_a_name_that_nobody_knows(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "nobody.invalid")
    assert cli("list").err == (
        'Error: Head "http://nobody.invalid:11434/": dial tcp: lookup nobody.invalid: no such host\n'
    )


def test_a_body_that_is_no_object_is_the_message(cli: Cli, script: Script) -> None:
    script.on("GET /api/tags", "not an object", status=502)
    assert cli("list").err == 'Error: "not an object"\n'


@pytest.mark.parametrize(("route", "command"), [("GET /api/tags", ("list",)), ("POST /api/pull", ("pull", "m"))])
def test_an_answer_of_some_other_server_is_named_as_such(
    cli: Cli, script: Script, route: str, command: tuple[str, ...]
) -> None:
    script.on(route, b"<html>hello</html>")
    outcome = cli(*command)
    assert outcome.status == 1
    assert "Error: the answer is not one of an Ollama server: " in outcome.err


def test_requests_are_signed_on_demand(cli: Cli, script: Script, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_AUTH", "1")
    script.on("GET /api/tags", {"models": []})
    assert cli("list").status == 0
    request = script.requests[-1]
    key, signature = request.authorization.split(":")
    public = load_ssh_public_key((home / ".ollama" / "id_ed25519.pub").read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    assert key.encode() in public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    public.verify(base64.b64decode(signature), f"GET,{request.path}".encode())
    assert re.fullmatch(r"/api/tags\?ts=\d+", request.path)


def test_a_server_that_says_nothing_is_told_as_by_a_go_client(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("OLLAMA_HOST", address)
        thread = threading.Thread(target=_hang_up, args=(listener,))
        thread.start()
        outcome = cli("list")
        thread.join()
    assert (outcome.status, outcome.err) == (1, f'Error: Head "http://{address}/": EOF\n')


def _hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
