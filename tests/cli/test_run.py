"""``run`` with a prompt."""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pollama.cli.media import attach, file_names
from pollama.types.json import Json
from tests.cli.conftest import Cli
from tests.cli.scripted import Script, ScriptedServer

DETAILS = {"family": "llama", "parameter_size": "1B", "quantization_level": "Q8_0"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8


def shown(*capabilities: str) -> Json:
    return {"details": DETAILS, "model_info": {}, "capabilities": capabilities or ("completion",)}


def piece(text: str = "", **fields: Json) -> Json:
    return {"response": text, "done": False} | fields


DONE = {"response": "", "done": True, "done_reason": "stop"}


def plain(text: str) -> str:
    """Return ``text`` without escape codes and spinner frames."""
    return re.sub(r"\x1b\[[?\d;]*\w|[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] ", "", text)


def test_an_answer_is_followed_by_two_line_feeds(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", piece("Hello"), piece(" there"), DONE)
    outcome = cli("run", "m", "say", "hi")
    assert (outcome.status, outcome.out, plain(outcome.err)) == (0, "Hello there\n\n", "")
    assert script.bodies("/api/show") == [{"model": "m"}]
    assert script.bodies("/api/generate") == [
        {"model": "m", "prompt": "say hi", "context": [], "images": [], "options": {}}
    ]


def test_piped_text_comes_before_the_words(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", DONE)
    cli("run", "m", "sum", "up", stdin="a text\n")
    assert script.bodies("/api/generate")[0]["prompt"] == "a text\n sum up"


def test_without_any_text_the_model_is_loaded(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", DONE | {"done_reason": "load"})
    assert cli("run", "m").out == ""
    assert script.bodies("/api/generate")[0]["prompt"] == ""


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (("--format", "json"), {"format": "json"}),
        (("--format", '{"type":"object"}'), {"format": {"type": "object"}}),
        (("--keepalive", "90s"), {"keep_alive": "1m30s"}),
        (("--keepalive", "-1s"), {"keep_alive": -1}),
        (("--think",), {"think": True}),
        (("--think=false",), {"think": False}),
        (("--think=high",), {"think": "high"}),
    ],
)
def test_flags_become_fields(cli: Cli, script: Script, flags: tuple[str, ...], fields: Json) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", DONE)
    assert cli("run", *flags, "m", "x").status == 0
    (request,) = script.bodies("/api/generate")
    assert {key: value for key, value in request.items() if key in ("format", "keep_alive", "think")} == fields
    assert request["prompt"] == "x"


def test_a_format_that_is_no_json_is_refused(cli: Cli) -> None:
    assert cli("run", "m", "x", "--format", "{").err.startswith('Error: --format takes "json" or a JSON schema: ')


def test_a_model_that_thinks_is_asked_to(cli: Cli, script: Script) -> None:
    answer = [piece(thinking="Let me"), piece(thinking=" see."), piece("Yes."), DONE]
    script.on("POST /api/show", shown("completion", "thinking")).on("POST /api/generate", *answer)
    assert cli("run", "m", "x").out == "Thinking...\nLet me see.\n...done thinking.\n\nYes.\n\n"
    assert script.bodies("/api/generate")[0]["think"] is True
    assert cli("run", "m", "x", "--hidethinking").out == "Yes.\n\n"


def test_a_tool_call_is_shown(cli: Cli, script: Script) -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    script.on("POST /api/show", shown()).on("POST /api/generate", piece(tool_calls=[call]), DONE)
    assert "Model called a non-existent function 'f()' with arguments: {\"a\": 1}" in cli("run", "m", "x").out


def test_verbose_prints_statistics(cli: Cli, script: Script) -> None:
    statistics = {
        "total_duration": 1234567890,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 130079000,
        "eval_count": 259,
        "eval_duration": 4232710000,
    }
    script.on("POST /api/show", shown()).on("POST /api/generate", DONE | statistics)
    assert plain(cli("run", "m", "x", "--verbose").err) == (
        "total duration:       1.23456789s\n"
        "prompt eval count:    26 token(s)\n"
        "prompt eval duration: 130.079ms\n"
        "prompt eval rate:     199.88 tokens/s\n"
        "eval count:           259 token(s)\n"
        "eval duration:        4.23271s\n"
        "eval rate:            61.19 tokens/s\n"
    )


def test_an_unknown_model_is_pulled_first(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", {"error": "model 'm' not found"}, status=404).on("POST /api/show", shown())
    script.on("POST /api/pull", {"status": "success"}).on("POST /api/generate", piece("Hi"), DONE)
    outcome = cli("run", "m", "x")
    assert (outcome.status, outcome.out) == (0, "Hi\n\n")
    assert script.bodies("/api/pull")[0]["name"] == "m"


def test_a_failure_while_answering_ends_the_run(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown())
    script.on("POST /api/generate", {"error": '"m" does not support thinking'}, status=400)
    outcome = cli("run", "m", "x", "--think")
    assert outcome.status == 1
    assert plain(outcome.err) == 'Error: 400 Bad Request: "m" does not support thinking\n'


def test_a_failure_inside_the_answer_leaves_what_came_before(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", piece("Hel"), {"error": "boom"})
    outcome = cli("run", "m", "x")
    assert (outcome.status, outcome.out) == (1, "Hel")
    assert outcome.err.endswith("Error: boom\n")


def test_an_account_may_be_needed(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", {"error": "unauthorized", "signin_url": "https://e.test/c"}, status=401)
    outcome = cli("run", "m:cloud", "x")
    assert outcome.status == 0
    assert outcome.out.startswith("You need to be signed in to Ollama to run Cloud models.\n\n")


def test_an_embedding_model_prints_a_vector(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown("embedding")).on("POST /api/embed", {"embeddings": [[0.5, 1e-05, -1.0]]})
    outcome = cli("run", "e", "text", "--dimensions", "3", "--truncate=false", "--keepalive", "5m")
    assert outcome.out == "[0.5,0.00001,-1]\n"
    assert script.bodies("/api/embed") == [
        {"model": "e", "input": "text", "keep_alive": "5m0s", "truncate": False, "dimensions": 3}
    ]


def test_an_embedding_model_needs_a_text(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", shown("embedding"))
    assert cli("run", "e").err == (
        'Error: embedding models require input text. Usage: pollama run e "your text here"\n'
    )


def test_an_image_in_the_prompt_is_attached(cli: Cli, script: Script, tmp_path: Path) -> None:
    picture = tmp_path / "a b.png"
    picture.write_bytes(PNG)
    script.on("POST /api/show", shown("completion", "vision")).on("POST /api/generate", DONE)
    outcome = cli("run", "m", f"what is '{tmp_path}/a\\ b.png'")
    assert f"Added image '{picture}'" in outcome.err
    (request,) = script.bodies("/api/generate")
    assert (request["prompt"], request["images"]) == ("what is", [base64.b64encode(PNG).decode()])


def test_a_file_that_is_no_image_is_refused(cli: Cli, script: Script, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not an image")
    script.on("POST /api/show", shown("completion", "vision"))
    outcome = cli("run", "m", f"what is {tmp_path}/a.png")
    assert outcome.err.endswith('Error: Couldn\'t process file: "invalid file type: text/plain; charset=utf-8"\n')


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("what is /data/a b.png and ./c.jpg?", ["/data/a b.png", "./c.jpg"]),
        (r"C:\a\b.webp ok", [r"C:\a\b.webp"]),
        ("no.png", []),
        ("/a.jpgx /b.jpeg", ["/a.jpgx /b.jpeg"]),
        ("../x.png", ["./x.png"]),
    ],
)
def test_paths_are_found_in_prompts(prompt: str, names: list[str]) -> None:
    assert file_names(prompt) == names


def test_a_path_of_no_file_stays_in_the_prompt() -> None:
    assert attach("see /nowhere/at/all.png") == ("see /nowhere/at/all.png", [])


def test_an_interrupt_cancels_the_answer(server: ScriptedServer, script: Script, home: Path) -> None:
    script.on("POST /api/show", shown()).on("POST /api/generate", piece("Once"), ending="endless")
    process = subprocess.Popen(
        [sys.executable, "-m", "pollama", "run", "m", "x"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(home), "OLLAMA_HOST": server.address},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(4) == b"Once"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert script.canceled.wait(30)
