"""``pull`` and ``push``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pollama.cli import flags
from pollama.cli.account import print_connect_text
from pollama.cli.client import Client
from pollama.cli.command import ONE, command, stdout
from pollama.cli.connection import connect
from pollama.cli.errors import NotSignedInError
from pollama.cli.progress import Progress, Spinner, StatusLines, short_digest
from pollama.models.names import ModelName, parse
from pollama.types.json import Json

_TENSOR_DIGEST: Final = "sha256:model"
_ACCOUNT_HOSTS: Final = (".ollama.ai", ".ollama.com")


@command("pull MODEL", ONE, models=1)
@flags.switch("--insecure", help="Use an insecure registry")
def pull(arguments: tuple[str, ...], *, insecure: bool) -> None:
    """Pull a model."""
    pull_model(connect(), arguments[0], insecure=insecure)


def pull_model(client: Client, name: str, *, insecure: bool = False) -> None:
    """Pull a model, with progress on stderr."""
    with Progress() as progress:
        show_transfer(progress, client.stream("/api/pull", _body(name, insecure=insecure)), "pulling")


@command("push MODEL", ONE, models=1)
@flags.switch("--insecure", help="Use an insecure registry")
def push(arguments: tuple[str, ...], *, insecure: bool) -> None:
    """Push a model."""
    client = connect()
    name = parse(arguments[0])
    if name.host.endswith(_ACCOUNT_HOSTS) and not _signed_in(client):
        return
    with Progress() as progress:
        show_transfer(progress, client.stream("/api/push", _body(arguments[0], insecure=insecure)), "pushing")
    stdout(f"\nYou can find your model at:\n\n\t{_address(name)}")


def _body(name: str, *, insecure: bool) -> Json:
    return {"model": "", "name": name, "insecure": insecure, "username": "", "password": ""}


def _signed_in(client: Client) -> bool:
    """Tell whether the server's key has an account; tell the user where to get one if not."""
    with Progress(clear=True) as progress:
        progress.add(Spinner())
        try:
            client.post("/api/me", {})
        except NotSignedInError as error:
            problem = error
        else:
            return True
    stdout("You need to be signed in to push models to ollama.com.\n")
    print_connect_text(problem.signin_url)
    return False


def _address(name: ModelName) -> str:
    """Return where a pushed model is found."""
    if name.host.endswith(_ACCOUNT_HOSTS):
        return f"https://ollama.com/{name.short.removesuffix(':latest')}"
    return name.short


def show_transfer(progress: Progress, records: Iterator[Json], verb: str) -> None:
    """Show the records of a pull (or push) until the last one."""
    lines = StatusLines(progress)
    for record in records:
        digest = record.get("digest", "")
        if not digest:
            lines.show_status(record.get("status", ""))
        elif record.get("completed"):
            label = record["status"] if verb == "pushing" else f"pulling {_layer_label(digest)}:"
            lines.show_bytes(digest, label, record["completed"], record.get("total", 0))


def _layer_label(digest: str) -> str:
    return "model" if digest == _TENSOR_DIGEST else short_digest(digest)
