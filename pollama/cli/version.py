"""``--version``."""

from __future__ import annotations

from pollama.cli.client import Client
from pollama.cli.command import stdout
from pollama.cli.errors import CliError
from pollama.config import Config
from pollama.types.version import OLLAMA_VERSION


def print_version() -> None:
    """Print the server's version, and the client's where it differs or no server answers."""
    try:
        server = str(Client(Config.load()).get("/api/version")["version"])
    except CliError:
        server = ""
        stdout("Warning: could not connect to a running Ollama instance")
    if server:
        stdout(f"ollama version is {server}")
    if server != OLLAMA_VERSION:
        stdout(f"Warning: client version is {OLLAMA_VERSION}")
