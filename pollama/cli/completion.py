"""Completion of commands, flags and model names by bash, zsh and fish, on top of click's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from pollama.cli.command import ONE, command, stdout
from pollama.cli.errors import CliError
from pollama.errors import PollamaError

SHELLS: Final = ("bash", "zsh", "fish")
_COLON: Final = ":"


@command("completion bash|zsh|fish", ONE, environment=("OLLAMA_MODELS",))
@click.pass_context
def completion(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Print the script for one shell."""
    (shell,) = arguments
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise CliError(f'unknown shell "{shell}": it must be one of {", ".join(SHELLS)}')
    root = context.find_root()
    name = root.info_name or ""
    stdout(kind(root.command, {}, name, f"_{name}_COMPLETE".upper()).source())


class _BashComplete(BashComplete):
    """Completes names with colons, which bash takes for several words of which it replaces the last."""

    _kept = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor and the one at it, with what colons have parted put together."""
        before, last = super().get_completion_args()
        words: list[str] = []
        for word in (*before, last):
            if words and _COLON in (word, words[-1][-1:]):
                words[-1] += word
            else:
                words.append(word)
        current = words.pop()
        self._kept = current[: current.rfind(_COLON) + 1]
        return words, current

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a completion without what bash leaves as it is."""
        return f"{item.type},{item.value.removeprefix(self._kept)}"


def register() -> None:
    """Make click answer bash's questions as above."""
    add_completion_class(_BashComplete, "bash")


def stored_models(prefix: str) -> Iterator[str]:
    """Yield the names of the store that begin with ``prefix``, without ``:latest``; none when it cannot be read."""
    from pollama.config import Config  # noqa: PLC0415  (the scripts are printed without them)
    from pollama.models.folder import StoreFolder  # noqa: PLC0415

    logging.disable()  # what is wrong with a store is no part of a command line
    try:
        names = StoreFolder(Config.load().models).names()
    except PollamaError:
        return
    shown = sorted(name.short.removesuffix(":latest") for name in names)
    yield from (name for name in shown if name.startswith(prefix))
