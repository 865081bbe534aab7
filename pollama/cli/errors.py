"""What ends a command with a message and exit status 1."""

from __future__ import annotations

from http import HTTPStatus

from pollama.errors import PollamaError


class CliError(PollamaError):
    """A message for the user; ``main`` prints it after ``Error:``."""


class ApiError(CliError):
    """The server answered a status of 400 or more, or an error record inside a stream."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class NotSignedInError(ApiError):
    """The server answered 401; ``signin_url`` is where the user can sign in, "" when it told none."""

    def __init__(self, text: str, signin_url: str) -> None:
        super().__init__(text, HTTPStatus.UNAUTHORIZED)
        self.signin_url = signin_url


class ConnectionRefusedByServerError(CliError):
    """Nothing listens at the server's address."""
