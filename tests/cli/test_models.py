"""``list``, ``ps``, ``cp``, ``rm``, ``stop``, ``--version`` and the account commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pollama.cli.models import processor
from pollama.types.json import Json
from pollama.types.version import OLLAMA_VERSION
from tests.cli.conftest import Cli
from tests.cli.scripted import Script


def moment(**ahead: float) -> str:
    """Return a time some way ahead of now."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def listed(name: str, **fields: Json) -> Json:
    return {"name": name, "digest": "a80c4f17acd5" + "0" * 52, "size": 2019393189, "modified_at": moment()} | fields


def test_an_empty_list_is_a_header(cli: Cli, script: Script) -> None:
    script.on("GET /api/tags", {"models": []})
    assert cli("list").out == "NAME    ID    SIZE    MODIFIED \n"


def test_models_are_listed_in_padded_columns(cli: Cli, script: Script) -> None:
    models = [
        listed("llama3.2:latest", modified_at=moment(days=-2, minutes=-1)),
        listed(
            "gpt-oss:20b-cloud", digest="875e8e3a629a" + "0" * 52, remote_model="x", modified_at=moment(seconds=-70)
        ),
    ]
    script.on("GET /api/tags", {"models": models})
    assert cli("list").out == (
        "NAME                 ID              SIZE      MODIFIED           \n"
        "llama3.2:latest      a80c4f17acd5    2.0 GB    2 days ago            \n"
        "gpt-oss:20b-cloud    875e8e3a629a    -         About a minute ago    \n"
    )


def test_a_list_is_filtered_by_a_prefix_in_any_case(cli: Cli, script: Script) -> None:
    script.on("GET /api/tags", {"models": [listed("Llama:8b"), listed("phi:latest")]})
    assert [line.split()[0] for line in cli("ls", "llA").out.splitlines()] == ["NAME", "Llama:8b"]


def test_a_model_without_a_time_was_never_modified(cli: Cli, script: Script) -> None:
    script.on("GET /api/tags", {"models": [listed("a:b", modified_at="0001-01-01T00:00:00Z")]})
    assert "    Never       \n" in cli("list").out


def running(name: str, **fields: Json) -> Json:
    return listed(name, size_vram=0, context_length=4096, expires_at=moment(minutes=4, seconds=30)) | fields


def test_running_models_are_listed(cli: Cli, script: Script) -> None:
    models = [
        running("a:latest"),
        running("b:latest", size_vram=2019393189 // 4, expires_at=moment(seconds=-1)),
        running("c:latest", size_vram=2019393189, expires_at="2319-01-01T00:00:00Z", context_length=131072),
    ]
    script.on("GET /api/ps", {"models": models})
    assert cli("ps").out == (
        "NAME        ID              SIZE      PROCESSOR          CONTEXT    UNTIL              \n"
        "a:latest    a80c4f17acd5    2.0 GB    100% CPU           4096       4 minutes from now    \n"
        "b:latest    a80c4f17acd5    2.0 GB    75%/25% CPU/GPU    4096       Stopping...           \n"
        "c:latest    a80c4f17acd5    2.0 GB    100% GPU           131072     Forever               \n"
    )


@pytest.mark.parametrize(
    ("size", "gpu", "text"),
    [(10, 0, "100% CPU"), (0, 0, "100% CPU"), (10, 10, "100% GPU"), (10, 11, "Unknown"), (1000, 995, "1%/99% CPU/GPU")],
)
def test_the_share_of_the_processors(size: int, gpu: int, text: str) -> None:
    assert processor(size, gpu) == text


def test_a_copy_is_reported(cli: Cli, script: Script) -> None:
    script.on("POST /api/copy")
    assert cli("cp", "a", "b").out == "copied 'a' to 'b'\n"
    assert script.bodies("/api/copy") == [{"source": "a", "destination": "b"}]


def test_an_error_of_the_server_is_printed_as_it_is(cli: Cli, script: Script) -> None:
    script.on("POST /api/copy", {"error": 'model "a" not found'}, status=404)
    outcome = cli("cp", "a", "b")
    assert (outcome.status, outcome.out, outcome.err) == (1, "", 'Error: model "a" not found\n')


def test_models_are_removed_up_to_the_first_failure(cli: Cli, script: Script) -> None:
    script.on("POST /api/generate", {"done": True, "done_reason": "unload"})
    script.on("DELETE /api/delete").on("DELETE /api/delete", {"error": "model 'b' not found"}, status=404)
    outcome = cli("rm", "a", "b", "c")
    assert (outcome.status, outcome.out, outcome.err) == (1, "deleted 'a'\n", "Error: model 'b' not found\n")
    assert script.bodies("/api/delete") == [{"model": "", "name": "a"}, {"model": "", "name": "b"}]


def test_a_model_that_cannot_be_unloaded_is_removed_with_a_warning(cli: Cli, script: Script) -> None:
    script.on("POST /api/generate", {"error": "boom"}, status=500).on("DELETE /api/delete")
    outcome = cli("rm", "a")
    assert (outcome.out, outcome.err) == ("deleted 'a'\n", "Warning: unable to stop model 'a'\n")


def test_stop_unloads_silently(cli: Cli, script: Script) -> None:
    script.on("POST /api/generate", {"done": True, "done_reason": "unload"})
    outcome = cli("stop", "a")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert script.bodies("/api/generate") == [{"model": "a", "prompt": "", "keep_alive": 0}]


def test_stop_of_an_unknown_model(cli: Cli, script: Script) -> None:
    script.on("POST /api/generate", {"error": "model 'a' not found"}, status=404)
    assert cli("stop", "a").err == 'Error: couldn\'t find model "a" to stop\n'


def test_the_version_is_the_servers(cli: Cli, script: Script) -> None:
    script.on("GET /api/version", {"version": OLLAMA_VERSION})
    assert cli("--version").out == f"ollama version is {OLLAMA_VERSION}\n"


def test_a_version_that_differs_is_named(cli: Cli, script: Script) -> None:
    script.on("GET /api/version", {"version": "0.1.2"})
    assert cli("-v").out == f"ollama version is 0.1.2\nWarning: client version is {OLLAMA_VERSION}\n"


def test_the_version_without_a_server(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    outcome = cli("-v")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == (
        f"Warning: could not connect to a running Ollama instance\nWarning: client version is {OLLAMA_VERSION}\n"
    )


@pytest.mark.parametrize("command", [("list",), ("ps",), ("show", "m"), ("pull", "m"), ("cp", "a", "b"), ("stop", "m")])
@pytest.mark.parametrize("name", ["pollama", "ollama"])
def test_without_a_server_the_user_is_told_how_to_start_one(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], name: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    outcome = cli(*command, name=name)
    assert outcome.status == 1
    assert outcome.err == f"Error: could not connect to ollama server, run '{name} serve' to start it\n"


def test_the_client_names_itself_as_servers_expect(cli: Cli, script: Script) -> None:
    script.on("GET /api/tags", {"models": []})
    cli("list")
    assert script.requests[-1].agent.startswith(f"ollama/{OLLAMA_VERSION} (")


def test_an_account_is_named(cli: Cli, script: Script) -> None:
    script.on("POST /api/me", {"name": "ada"})
    assert cli("signin").out == "You are already signed in as user 'ada'\n\n"


def test_without_an_account_the_user_is_sent_to_the_site(
    cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    script.on("POST /api/me", {"error": "unauthorized", "signin_url": "https://e.test/connect"}, status=401)
    outcome = cli("signin")
    assert outcome.status == 0
    assert outcome.out == (
        "You need to be signed in to Ollama to run Cloud models.\n\n"
        "If your browser did not open, navigate to:\n    https://e.test/connect\n\n"
    )
    assert opened == ["https://e.test/connect"]


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "You have signed out of ollama.com\n\n"), (401, "You are not signed in to ollama.com\n\n")],
)
def test_signing_out(cli: Cli, script: Script, status: int, text: str) -> None:
    script.on("POST /api/signout", {"error": "x"} if status >= 400 else None, status=status)
    assert cli("signout").out == text


def test_launch_tells_the_addresses(cli: Cli) -> None:
    outcome = cli("launch", "claude", "--model", "m")
    assert outcome.status == 1
    assert "pollama does not configure or start claude" in outcome.err
    assert "/v1\n" in outcome.err
