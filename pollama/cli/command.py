"""Commands whose help, argument checks and errors read as Ollama's do, loaded only when they are used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click

from pollama.cli.errors import CliError
from pollama.cli.flags import Flag, spell_out
from pollama.cli.manual import PAGES


@dataclass(frozen=True, slots=True)
class Arity:
    """How many positional arguments a command takes; ``most`` None = any number."""

    least: int = 0
    most: int | None = None

    def check(self, count: int) -> None:
        """Raise CliError when ``count`` arguments are too few or too many."""
        if self.least == self.most and count != self.least:
            raise CliError(f"accepts {self.least} arg(s), received {count}")
        if count < self.least:
            raise CliError(f"requires at least {self.least} arg(s), only received {count}")


ANY: Final = Arity()
NONE: Final = Arity(0, 0)
ONE: Final = Arity(1, 1)
TWO: Final = Arity(2, 2)
SOME: Final = Arity(1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command as the group lists it. ``target`` is ``module:attribute`` below ``pollama.cli``.

    ``own``: Ollama has no such command, and help does not show it under that name.
    """

    name: str
    target: str
    summary: str
    aliases: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    """Further names that help does not show."""
    own: bool = False

    def load(self) -> Command:
        """Import the command."""
        module, attribute = self.target.split(":")
        command: Command = getattr(importlib.import_module(f"pollama.cli.{module}"), attribute)
        command.name, command.help, command.aliases = self.name, self.summary, self.aliases
        return command


class Command(click.Command):
    """A command; ``usage`` is its line in the help, ``environment`` the variables the help explains.

    ``models``: how many of its arguments, from the first on, name stored models.
    """

    def __init__(
        self,
        *args: Any,
        usage: str,
        arity: Arity = NONE,
        environment: Sequence[str] = (),
        models: float = 0,
        **settings: Any,
    ) -> None:
        settings.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **settings)
        self.usage = usage
        self.arity = arity
        self.environment = environment
        self.aliases: tuple[str, ...] = ()
        self.models = models
        self.params.append(click.Argument(["arguments"], nargs=-1, shell_complete=self._complete_models))

    def flags(self) -> list[Flag]:
        """Return the flags, without ``--help``."""
        return [param for param in self.params if isinstance(param, Flag)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with Go's flag rules; raises CliError in its words."""
        try:
            rest = super().parse_args(ctx, list(spell_out(args, self.flags())))
        except click.UsageError as error:
            raise CliError(describe(error, args)) from error
        if not ctx.resilient_parsing:  # as it is while a shell completes the line
            self.arity.check(len(ctx.params["arguments"]))
        return rest

    def _complete_models(self, context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        from pollama.cli.completion import stored_models  # noqa: PLC0415  (it needs the store)

        given = context.params.get("arguments") or ()
        return [name for name in stored_models(incomplete) if name not in given] if len(given) < self.models else []

    def get_help(self, ctx: click.Context) -> str:
        """Return the help page."""
        root = ctx.find_root().info_name or ""
        page = PAGES.get(self.name or "") if root != "ollama" else None
        lines = [self.help or "", ""]
        if page:
            lines += [*page.text(), ""]
        lines += ["Usage:", f"  {root} {self.usage}" + " [flags]", ""]
        if self.aliases:
            lines += ["Aliases:", f"  {', '.join((self.name or '', *self.aliases))}", ""]
        if page:
            lines += ["Examples:", *page.example_lines(root), ""]
        lines += ["Flags:", *flag_lines(self.flags(), self.name or "")]
        if self.environment:
            lines += ["", "Environment Variables:", *environment_lines(self.environment)]
        return "\n".join(lines)


class Root(click.Group):
    """The program: finds a command by name or alias and imports only that one."""

    def __init__(self, summary: str, entries: Sequence[Entry], **settings: Any) -> None:
        context = {"help_option_names": ["-h", "--help"], "allow_interspersed_args": False}
        super().__init__(help=summary, invoke_without_command=True, context_settings=context, **settings)
        self.entries = {entry.name: entry for entry in entries}
        self._names = {name: entry for entry in entries for name in (entry.name, *entry.aliases, *entry.twins)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the visible commands in the order of the help."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name or alias, None when there is none."""
        entry = self._names.get(cmd_name)
        return entry.load() if entry else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the program's own flags; raises CliError in Go's words."""
        flags = [param for param in self.params if isinstance(param, Flag)]
        own = next((index for index, word in enumerate(args) if not word.startswith("-")), len(args))
        try:
            return super().parse_args(ctx, [*spell_out(args[:own], flags), *args[own:]])
        except click.UsageError as error:
            raise CliError(describe(error, args)) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names. Raises CliError with what may have been meant."""
        command = self.get_command(ctx, args[0])
        if command is None and ctx.resilient_parsing:
            return None, None, []
        if command is None:
            self._fail_unknown(ctx, args[0])
        return command.name, command, args[1:]

    def _fail_unknown(self, ctx: click.Context, name: str) -> NoReturn:
        message = f'unknown command "{name}" for "{ctx.info_name}"'
        near = [entry.name for entry in self._shown(ctx.info_name) if _resembles(name, entry.name)]
        if near:
            message += "\n\nDid you mean this?\n" + "".join(f"\t{known}\n" for known in near)
        raise CliError(message)

    def _shown(self, program: str | None) -> list[Entry]:
        """Return the commands that a program of this name tells of."""
        return [entry for entry in self.entries.values() if not (entry.own and program == "ollama")]

    def get_help(self, ctx: click.Context) -> str:
        """Return the help page of the program."""
        return f"{self.help}\n\n{self.usage_page(ctx)}"

    def usage_page(self, ctx: click.Context) -> str:
        """Return the help page without its title."""
        program = ctx.info_name
        commands = [f"  {entry.name:<12} {entry.summary}" for entry in self._shown(program)]
        flags = flag_lines([param for param in self.params if isinstance(param, Flag)], program or "")
        lines = ["Usage:", f"  {program} [flags]", f"  {program} [command]", "", "Available Commands:", *commands]
        lines += ["", "Flags:", *flags, ""]
        return "\n".join([*lines, f'Use "{program} [command] --help" for more information about a command.'])


def flag_lines(flags: Sequence[Flag], name: str) -> list[str]:
    """Return the help lines of flags, sorted by name, ``--help`` among them."""
    rows = {flag.opts[-1]: (flag.usage, flag.help or "") for flag in flags}
    rows["--help"] = ("  -h, --help", f"help for {name}")
    width = max(len(usage) for usage, _ in rows.values())
    return [f"{usage:<{width}}   {text}" for _, (usage, text) in sorted(rows.items())]


def environment_lines(names: Sequence[str]) -> list[str]:
    """Return the help lines of environment variables, with the descriptions of the configuration."""
    from pollama.config import SETTINGS  # noqa: PLC0415  (help pages of other commands do without it)

    texts = {variable: setting.help for setting in SETTINGS for variable in setting.variables}
    return [f"      {name:<27}   {texts[name]}" for name in names]


def describe(error: click.UsageError, arguments: Sequence[str]) -> str:
    """Return click's complaint about the command line in the words of Go's flag library."""
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        if name.startswith("--"):
            return f"unknown flag: {name}"
        cluster = next((word for word in arguments if word.startswith("-") and name[1] in word), name)
        return f"unknown shorthand flag: {name[1]!r} in {cluster}"
    if isinstance(error, click.BadOptionUsage):
        name = error.option_name
        return (
            f"flag needs an argument: {name}"
            if name.startswith("--")
            else f"flag needs an argument: {name[1:]!r} in {name}"
        )
    return error.format_message()


def _resembles(typed: str, known: str) -> bool:
    return known.startswith(typed.lower()) or _edit_distance(typed.lower(), known) <= 2


def _edit_distance(left: str, right: str) -> int:
    """Return Levenshtein's distance."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def command(
    usage: str, arity: Arity = NONE, environment: Sequence[str] = ("OLLAMA_HOST",), *, models: float = 0
) -> Callable[[Callable[..., Any]], Command]:
    """Turn a function into a Command; its positional arguments arrive as the tuple ``arguments``."""
    return click.command(cls=Command, usage=usage, arity=arity, environment=environment, models=models)


def invoked_name() -> str:
    """Return the name under which the program was called, for hints that name a command."""
    return click.get_current_context().find_root().info_name or ""


def stdout(message: str = "") -> None:
    """Print a line on stdout at once."""
    print(message, flush=True)


def stderr(message: str = "") -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr, flush=True)
