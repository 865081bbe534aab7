"""``help``: the help page of the program or of a command."""

from __future__ import annotations

import click

from pollama.cli.command import ANY, Root, command, stderr, stdout


@command("help [command]", ANY, environment=())
@click.pass_context
def help_command(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Print a help page."""
    root = context.find_root()
    group = root.command
    assert isinstance(group, Root)
    if not arguments:
        stdout(group.get_help(root))
        return
    wanted = group.get_command(root, arguments[0])
    if wanted is None:
        stderr(f"Unknown help topic [{' '.join(f'`{topic}`' for topic in arguments)}]")
        stderr(group.usage_page(root))
        return
    with click.Context(wanted, info_name=wanted.name, parent=root) as inner:
        stdout(wanted.get_help(inner))
