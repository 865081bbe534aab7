"""The program: its commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from pollama.cli.command import Entry, Root, stderr, stdout
from pollama.cli.completion import register
from pollama.cli.flags import switch
from pollama.errors import PollamaError

COMMANDS: Final = (
    Entry("serve", "serve:serve", "Start Ollama", twins=("start",)),
    Entry("create", "create:create", "Create a model"),
    Entry("show", "show:show", "Show information for a model"),
    Entry("run", "run:run", "Run a model"),
    Entry("stop", "models:stop", "Stop a running model"),
    Entry("pull", "transfer:pull", "Pull a model from a registry"),
    Entry("push", "transfer:push", "Push a model to a registry"),
    Entry("signin", "account:signin", "Sign in to ollama.com", twins=("login",)),
    Entry("signout", "account:signout", "Sign out from ollama.com", twins=("logout",)),
    Entry("list", "models:list_models", "List models", aliases=("ls",)),
    Entry("ps", "models:ps", "List running models"),
    Entry("cp", "models:cp", "Copy a model"),
    Entry("rm", "models:rm", "Remove a model"),
    Entry("launch", "launch:launch", "Launch the Ollama menu or an integration"),
    Entry("gpus", "multigpu:gpus", "List devices", own=True),
    Entry("plan", "multigpu:plan", "Show what would be done with a model", own=True),
    Entry("benchmark", "benchmark.command:benchmark", "Measure how fast models answer", own=True),
    Entry("config", "config:config", "Show or change settings", own=True),
    Entry("migrate-models", "multigpu:migrate_models", "Move loaded models to better devices", own=True),
    Entry("completion", "completion:completion", "Print the completion script of a shell", own=True),
    Entry("help", "help:help_command", "Help about any command"),
)


@switch("-v", "--version", help="Show version information")
@click.pass_context
def _start(context: click.Context, *, version: bool) -> None:
    """Answer ``--version``, or show the help when no command is given."""
    if version:
        from pollama.cli.version import print_version  # noqa: PLC0415  (the other ways need no connection)

        print_version()
        context.exit()
    if context.invoked_subcommand is None:
        stdout(context.get_help())


def program() -> Root:
    """Return the root command."""
    return Root("Large language model runner", COMMANDS, callback=_start, params=list(_parameters()))


def _parameters() -> Sequence[click.Parameter]:
    declared: list[click.Parameter] = getattr(_start, "__click_params__", [])
    return declared


def program_name(path: str) -> str:
    """Return the name that help and hints use: ``ollama`` when the program is installed under that name."""
    return "ollama" if Path(path).stem == "ollama" else "pollama"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0, or 1 after ``Error: ...`` on stderr."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments, program_name(sys.argv[0])))


def run(arguments: Sequence[str], name: str = "pollama") -> int:
    """Run the program and return its exit status."""
    register()
    try:
        status = program().main(list(arguments), prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Who read our output has gone. Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (PollamaError, OSError) as error:
        stderr(f"Error: {error}")
        return 1
    return status if isinstance(status, int) else 0
