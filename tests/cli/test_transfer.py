"""``pull`` and ``push``."""

from __future__ import annotations

from tests.cli.conftest import Cli
from tests.cli.scripted import Script

LAYER = {"status": "pulling 63c9be0cc3d5", "digest": "sha256:63c9be0cc3d5" + "0" * 52, "total": 53}


def test_a_pull_is_silent_on_stdout(cli: Cli, script: Script) -> None:
    records = [{"status": "pulling manifest"}, LAYER, LAYER | {"completed": 53}, {"status": "success"}]
    script.on("POST /api/pull", *records)
    outcome = cli("pull", "m", "--insecure")
    assert (outcome.status, outcome.out) == (0, "")
    assert "pulling manifest \x1b[K\npulling 63c9be0cc3d5: 100% ▕" in outcome.err
    assert script.bodies("/api/pull") == [{"model": "", "name": "m", "insecure": True, "username": "", "password": ""}]


def test_an_error_inside_the_stream_is_printed_as_it_is(cli: Cli, script: Script) -> None:
    missing = "pull model manifest: file does not exist"
    script.on("POST /api/pull", {"status": "pulling manifest"}, {"error": missing})
    outcome = cli("pull", "m")
    assert outcome.status == 1
    assert outcome.err.endswith(f"\nError: {missing}\n")


def test_an_error_in_the_place_of_a_stream_has_its_status(cli: Cli, script: Script) -> None:
    script.on("POST /api/pull", {"error": "invalid model name"}, status=400)
    assert cli("pull", "!").err.endswith("Error: 400 Bad Request: invalid model name\n")


def test_a_push_tells_where_the_model_is(cli: Cli, script: Script) -> None:
    script.on("POST /api/me", {"name": "ada"})
    script.on("POST /api/push", {"status": "retrieving manifest"}, {"status": "success"})
    outcome = cli("push", "ada/m:latest")
    assert outcome.out == "\nYou can find your model at:\n\n\thttps://ollama.com/ada/m\n"


def test_a_push_to_another_registry_needs_no_account(cli: Cli, script: Script) -> None:
    script.on("POST /api/push", {"status": "success"})
    assert cli("push", "localhost:5000/ada/m:1").out.endswith("\tlocalhost:5000/ada/m:1\n")
    assert script.bodies("/api/me") == []


def test_a_push_without_an_account_says_so_and_succeeds(cli: Cli, script: Script) -> None:
    script.on("POST /api/me", {"error": "unauthorized", "signin_url": "https://e.test/c"}, status=401)
    outcome = cli("push", "ada/m")
    assert outcome.status == 0
    assert outcome.out == (
        "You need to be signed in to push models to ollama.com.\n\n"
        "If your browser did not open, navigate to:\n    https://e.test/c\n\n"
    )
