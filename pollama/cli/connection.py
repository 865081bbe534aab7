"""How a command reaches its server."""

from __future__ import annotations

import click

from pollama.cli.client import Client
from pollama.cli.errors import CliError, ConnectionRefusedByServerError
from pollama.config import Config


def connect() -> Client:
    """Return a client of the configured server. Raises CliError when no server answers."""
    client = Client(Config.load())
    try:
        client.heartbeat()
    except ConnectionRefusedByServerError as error:
        name = click.get_current_context().find_root().info_name
        raise CliError(f"could not connect to ollama server, run '{name} serve' to start it") from error
    return client
