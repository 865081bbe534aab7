"""Completion by the shells: bash itself, and what zsh and fish ask click for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from pollama.cli.completion import SHELLS
from tests.cli.conftest import Cli

ROOT = Path(__file__).parent.parent.parent
NAMES = (
    "registry.ollama.ai/library/llama3/latest",
    "registry.ollama.ai/library/llama3/8b",
    "registry.ollama.ai/library/llava/latest",
    "hf.co/me/some/Q4_K_M",
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A program and a store with models."""
    program = tmp_path / "bin" / "pollama"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m pollama "$@"\n')
    program.chmod(0o755)
    for name in (*NAMES, "registry.ollama.ai/library/bad name/latest"):
        path = tmp_path / "models" / "manifests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (tmp_path / "Modelfile").write_text("FROM llama3")
    return {
        "HOME": str(tmp_path),
        "PATH": f"{program.parent}:{os.defpath}",
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "PYTHONWARNINGS": "ignore",
    }


def complete(environment: dict[str, str], *words: str) -> list[str]:
    """Return what bash offers for the last of the words."""
    script = (
        'source <(pollama completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_pollama_completion pollama; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "--norc", "-c", script, "bash", *words]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("show", "lla"), ["llama3", "llama3:8b", "llava"]),
        (("show", "llama3", ":", ""), ["8b"]),
        (("show", "llama3", ":"), ["8b"]),
        (("show", "hf.co/"), ["hf.co/me/some:Q4_K_M"]),
        (("show", "hf.co/me/some", ":", "Q4"), ["Q4_K_M"]),
        (("show", "llama3", ""), []),
        (("show", "--system", "llav"), ["llava"]),
        (("rm", "llama3", "ll"), ["llama3:8b", "llava"]),
        (("run", "llama3", "l"), []),
        (("cp", "llav"), ["llava"]),
        (("list", "l"), []),
        (("s",), ["serve", "show", "stop", "signin", "signout"]),
        (("run", "--no"), ["--nowordwrap"]),
    ],
)
def test_what_bash_offers(environment: dict[str, str], words: tuple[str, ...], offered: list[str]) -> None:
    assert complete(environment, "pollama", *words) == offered


def test_the_tabulator_completes_a_name_with_a_colon(environment: dict[str, str], tmp_path: Path) -> None:
    shell = pexpect.spawn("bash", ["--norc", "-i"], env={**environment, "PS1": "$ ", "TERM": "dumb"}, cwd=str(tmp_path))
    shell.sendline("source <(pollama completion bash); echo rea''dy")
    shell.expect("ready")
    shell.send("pollama show llama3:\t")
    shell.expect("llama3:8b")
    shell.sendcontrol("u")
    shell.send("pollama create mine --file Mod\t")
    shell.expect("Modelfile")
    shell.close(force=True)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_the_other_shells_are_told(environment: dict[str, str], shell: str) -> None:
    question = {"_POLLAMA_COMPLETE": f"{shell}_complete", "COMP_WORDS": "pollama show lla", "COMP_CWORD": "2"}
    if shell == "fish":
        question["COMP_CWORD"] = "lla"
    result = subprocess.run(
        ["pollama"], env=environment | question, capture_output=True, text=True, check=False, timeout=60
    )
    assert all(name in result.stdout for name in ("llama3", "8b", "llava"))
    assert "hf.co" not in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts(cli: Cli, shell: str) -> None:
    outcome = cli("completion", shell)
    assert (outcome.status, outcome.err) == (0, "")
    assert "_POLLAMA_COMPLETE" in outcome.out


def test_a_shell_that_is_not_known(cli: Cli) -> None:
    outcome = cli("completion", "tcsh")
    assert (outcome.status, outcome.err) == (1, 'Error: unknown shell "tcsh": it must be one of bash, zsh, fish\n')
