"""Flags as Ollama's command line has them: ``--name``, ``--name=value``, Go's spellings of booleans and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from pollama.cli.errors import CliError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))


class Flag(click.Option):
    """An option; ``implied`` is its value when it is given without one, None when it needs one."""

    def __init__(self, declarations: Sequence[str], *, implied: str | None = None, **settings: Any) -> None:
        super().__init__(declarations, **settings)
        self.implied = implied

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete the flag's value; behind a flag that needs none comes an argument."""
        if self.implied is None:
            return super().shell_complete(ctx, incomplete)
        arguments = (param for param in ctx.command.params if isinstance(param, click.Argument))
        return [item for param in arguments for item in param.shell_complete(ctx, incomplete)]

    @property
    def spelling(self) -> str:
        """The flag as errors name it: ``-f, --file``."""
        return ", ".join(sorted(self.opts, key=len))

    @property
    def usage(self) -> str:
        """The flag as help shows it: ``-f, --file string``."""
        short = next((f"{name}, " for name in self.opts if not name.startswith("--")), " " * 4)
        long = next(name for name in self.opts if name.startswith("--"))
        default = f'[="{self.implied}"]' if self.implied and self.type.name != "bool" else ""
        kind = "" if self.type.name == "bool" else f" {self.type.name}"
        return f"  {short}{long}{kind}{default}"


class _GoType(click.ParamType[Any]):
    """A type whose rejections read as Go's flag library words them."""

    routine = ""

    def reject(self, value: str, param: click.Parameter | None) -> CliError:
        spelling = param.spelling if isinstance(param, Flag) else ""
        reason = f"strconv.{self.routine}: parsing {_quoted(value)}: invalid syntax"
        return CliError(f'invalid argument {_quoted(value)} for "{spelling}" flag: {reason}')


class _Bool(_GoType):
    name = "bool"
    routine = "ParseBool"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        if value not in _TRUE | _FALSE:
            raise self.reject(value, param)
        return value in _TRUE


class _Int(_GoType):
    name = "int"
    routine = "ParseInt"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"[+-]?[0-9]+", value):
            raise self.reject(value, param)
        return int(value)


class _String(click.types.StringParamType):
    name = "string"


class _Path(_String):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(incomplete, type="file")]


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def switch(*names: str, help: str, default: bool | None = False) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """Declare a boolean flag; ``default`` None tells "not given" from false."""
    return click.option(*names, cls=Flag, type=_Bool(), implied="true", default=default, help=help)


def text(
    *names: str,
    help: str,  # noqa: A002
    default: str | None = "",
    implied: str | None = None,
    is_path: bool = False,
) -> Callable[[Decorated], Decorated]:
    """Declare a flag that takes text; with ``implied`` the text must follow an equals sign.

    ``default`` None tells "not given" from an empty text. ``is_path``: shells complete it with the names of files.
    """
    kind = _Path() if is_path else _String()
    return click.option(*names, cls=Flag, type=kind, implied=implied, default=default, help=help)


def integer(*names: str, help: str, default: int = 0) -> Callable[[Decorated], Decorated]:  # noqa: A002
    """Declare a flag that takes a whole number."""
    return click.option(*names, cls=Flag, type=_Int(), default=default, help=help)


def spell_out(arguments: Sequence[str], flags: Sequence[Flag]) -> Iterator[str]:
    """Yield ``arguments`` with the implied value written behind each flag that came without one, up to ``--``."""
    implied = {name: (flag.opts[-1], flag.implied) for flag in flags for name in flag.opts if flag.implied}
    literal = False
    for argument in arguments:
        literal = literal or argument == "--"
        long, value = implied.get(argument, ("", None))
        yield argument if literal or value is None else f"{long}={value}"
