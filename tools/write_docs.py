"""Write the parts of docs/ that follow from the code. With ``--check`` only tell whether they are up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

import click

from pollama.api.anthropic.schemas import CONTENT_BLOCK
from pollama.api.godecode import Refused
from pollama.api.openapi.requests import BODIES, unread_fields
from pollama.cli.command import Root
from pollama.cli.main import program
from pollama.config import documentation as settings

DOCS: Final = Path(__file__).parent.parent / "docs"
_REFERENCE: Final = re.compile(r"(?<=<!-- reference: begin -->\n).*(?=<!-- reference: end -->)", re.DOTALL)

_FIELDS: Final = re.compile(r"(?<=<!-- fields: begin -->\n).*(?=<!-- fields: end -->)", re.DOTALL)


def command_reference() -> str:
    """Return the help page of every command as Markdown."""
    root = program()
    with click.Context(root, info_name="pollama") as context:
        return "".join(f"\n### {name}\n\n```text\n{_page(root, name, context)}\n```\n" for name in root.entries) + "\n"


def _page(root: Root, name: str, context: click.Context) -> str:
    command = root.get_command(context, name)
    assert command is not None
    with click.Context(command, info_name=name, parent=context) as inner:
        return command.get_help(inner)


def unread_table() -> str:
    """Return the fields that are refused or ignored, for every body that has some, as Markdown."""
    rows = ["| | refused | ignored |", "| --- | --- | --- |"]
    for route, schema in {**BODIES, "a content block of /v1/messages": CONTENT_BLOCK}.items():
        unread = dict(unread_fields(schema))
        refused = [name for name, kind in unread.items() if isinstance(kind, Refused)]
        if unread:
            rows.append(f"| `{route}` | {_names(refused)} | {_names(unread.keys() - refused)} |")
    return "\n".join([*rows, ""])


def _names(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def pages() -> dict[Path, str]:
    """Return the pages as they should be."""
    cli, api = DOCS / "cli.md", DOCS / "api.md"
    reference = command_reference()
    return {
        DOCS / "configuration.md": settings.documentation(),
        api: _FIELDS.sub(lambda _: unread_table(), api.read_text(encoding="utf-8")),
        cli: _REFERENCE.sub(lambda _: reference, cli.read_text(encoding="utf-8")),
    }


def main(arguments: list[str]) -> int:
    """Write or check the pages; return the exit status."""
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if "--check" in arguments:
            print(f"{path.name} is out of date: make docs")
        else:
            path.write_text(text, encoding="utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
