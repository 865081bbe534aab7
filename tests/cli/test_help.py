"""Help pages and what is said about wrong command lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pollama.cli.main import COMMANDS
from tests.cli.conftest import Cli

ROOT_HELP = """\
Large language model runner

Usage:
  ollama [flags]
  ollama [command]

Available Commands:
  serve        Start Ollama
  create       Create a model
  show         Show information for a model
  run          Run a model
  stop         Stop a running model
  pull         Pull a model from a registry
  push         Push a model to a registry
  signin       Sign in to ollama.com
  signout      Sign out from ollama.com
  list         List models
  ps           List running models
  cp           Copy a model
  rm           Remove a model
  launch       Launch the Ollama menu or an integration
  help         Help about any command

Flags:
  -h, --help      help for ollama
  -v, --version   Show version information

Use "ollama [command] --help" for more information about a command.
"""

LIST_HELP = """\
List models

Usage:
  ollama list [flags]

Aliases:
  list, ls

Flags:
  -h, --help   help for list

Environment Variables:
      OLLAMA_HOST                   IP Address for the ollama server (default 127.0.0.1:11434)
"""

CREATE_FLAGS = """\
Flags:
      --draft-quantize string   Quantize draft model to this level
      --experimental            Enable experimental safetensors model creation
  -f, --file string             Name of the Modelfile (default "Modelfile")
  -h, --help                    help for create
  -q, --quantize string         Quantize model to this level (e.g. q4_K_M)
"""


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_the_program_explains_itself(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments, name="ollama").out == ROOT_HELP


def test_under_its_own_name_it_tells_of_its_own_commands(cli: Cli) -> None:
    shown = cli("--help").out
    assert "  gpus         List devices\n  plan         Show what would be done with a model\n  benchmark    " in shown
    assert "plan" in cli("plane").err
    assert "plan" not in cli("plane", name="ollama").err.splitlines()[1:]


@pytest.mark.parametrize("arguments", [("list", "--help"), ("ls", "-h"), ("help", "list"), ("help", "ls")])
def test_a_command_explains_itself(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli(*arguments, name="ollama")
    assert (outcome.status, outcome.out) == (0, LIST_HELP)


def test_flags_are_sorted_and_aligned(cli: Cli) -> None:
    assert CREATE_FLAGS in cli("create", "--help").out


def test_a_flag_with_an_optional_value_says_so(cli: Cli) -> None:
    assert '      --think string[="true"]   Enable thinking mode' in cli("run", "--help").out


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_has_a_page(cli: Cli, name: str) -> None:
    outcome = cli(name, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"Usage:\n  pollama {name}" in outcome.out


@pytest.mark.parametrize(("twin", "page"), [("start", "Start Ollama"), ("login", "Sign in"), ("logout", "Sign out")])
def test_hidden_names_work(cli: Cli, twin: str, page: str) -> None:
    assert cli(twin, "--help").out.startswith(page)


def test_help_about_nothing_known_shows_the_commands_and_succeeds(cli: Cli) -> None:
    outcome = cli("help", "nope")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err.startswith("Unknown help topic [`nope`]\nUsage:\n  pollama [flags]\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show",), "accepts 1 arg(s), received 0"),
        (("show", "a", "b"), "accepts 1 arg(s), received 2"),
        (("cp", "a"), "accepts 2 arg(s), received 1"),
        (("run",), "requires at least 1 arg(s), only received 0"),
        (("rm",), "requires at least 1 arg(s), only received 0"),
        (("list", "--foo"), "unknown flag: --foo"),
        (("--foo",), "unknown flag: --foo"),
        (("list", "-z"), "unknown shorthand flag: 'z' in -z"),
        (("run", "m", "--format"), "flag needs an argument: --format"),
        (("create", "m", "-f"), "flag needs an argument: 'f' in -f"),
        (
            ("run", "m", "--dimensions", "abc"),
            'invalid argument "abc" for "--dimensions" flag: strconv.ParseInt: parsing "abc": invalid syntax',
        ),
        (
            ("show", "m", "--verbose=maybe"),
            'invalid argument "maybe" for "-v, --verbose" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (("frobnicate",), 'unknown command "frobnicate" for "pollama"'),
        (("ru",), 'unknown command "ru" for "pollama"\n\nDid you mean this?\n\trun\n\tps\n\tcp\n\trm\n'),
        (("sig",), 'unknown command "sig" for "pollama"\n\nDid you mean this?\n\tsignin\n\tsignout\n'),
        (
            ("run", "m", "--think=hard"),
            'invalid value for --think: "hard" (must be true, false, high, medium, low, or max)',
        ),
        (("run", "m", "--keepalive", "5"), 'time: missing unit in duration "5"'),
    ],
)
def test_a_wrong_command_line_is_explained(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    outcome = cli(*arguments)
    assert (outcome.status, outcome.out, outcome.err) == (1, "", f"Error: {message}\n")


def test_help_needs_neither_the_server_nor_the_network_code() -> None:
    modules = ("pollama.server", "pollama.cli.client", "aiohttp", "yaml", "prompt_toolkit", "msgspec", "urllib.request")
    probe = f"""
import sys
from pollama.cli.main import run
run(["--help"])
print([name for name in {modules!r} if name in sys.modules], file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert result.stderr == "[]\n"


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_has_a_description_and_examples(cli: Cli, name: str) -> None:
    page = cli(name, "--help").out
    summary, description, *_ = page.split("\n\n")
    assert summary.count("\n") == 0
    assert description.endswith(".")
    assert max(map(len, description.splitlines())) <= 80
    assert "Examples:\n  # " in page
    assert f"  pollama {name}" in page.partition("Examples:")[2]
