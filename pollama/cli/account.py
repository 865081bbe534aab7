"""``signin`` and ``signout``: the account at ollama.com, as far as the server offers one."""

from __future__ import annotations

import webbrowser
from contextlib import suppress

from pollama.cli.command import NONE, command, stdout
from pollama.cli.connection import connect
from pollama.cli.errors import ApiError, NotSignedInError


@command("signin", NONE, environment=())
def signin(arguments: tuple[str, ...]) -> None:
    """Say who is signed in, or where to sign in."""
    try:
        account = connect().post("/api/me", {})
    except NotSignedInError as error:
        stdout("You need to be signed in to Ollama to run Cloud models.\n")
        if error.signin_url:
            with suppress(webbrowser.Error):
                webbrowser.open(error.signin_url)
        print_connect_text(error.signin_url)
    else:
        stdout(f"You are already signed in as user '{account['name']}'\n")


@command("signout", NONE, environment=())
def signout(arguments: tuple[str, ...]) -> None:
    """Forget the account."""
    try:
        connect().post("/api/signout", {})
    except ApiError as error:
        if error.status != 401:
            raise
        stdout("You are not signed in to ollama.com\n")
    else:
        stdout("You have signed out of ollama.com\n")


def print_connect_text(url: str) -> None:
    """Print the address that signs this machine in, when there is one."""
    if url:
        stdout(f"If your browser did not open, navigate to:\n    {url}\n")
