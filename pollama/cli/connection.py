"""How a command reaches its server."""

from __future__ import annotations

from pollama.cli.client import Client
from pollama.cli.command import invoked_name
from pollama.cli.errors import CliError, ConnectionRefusedByServerError
from pollama.config import Config


def connect() -> Client:
    """Return a client of the configured server. Raises CliError when no server answers."""
    client = Client(Config.load())
    try:
        client.heartbeat()
    except ConnectionRefusedByServerError as error:
        raise CliError(f"could not connect to ollama server, run '{invoked_name()} serve' to start it") from error
    return client
