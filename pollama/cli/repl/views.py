"""``/show``: what the model of a conversation is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pollama.cli.command import stderr, stdout
from pollama.cli.errors import ApiError, CliError
from pollama.cli.repl import help as pages
from pollama.cli.session import Session
from pollama.cli.show import information
from pollama.types.gojson import printed
from pollama.types.json import Json


def show(session: Session, line: str) -> None:
    """Carry out a line that begins with ``/show``. Raises CliError when the server cannot tell of the model."""
    words = line.split()[1:]
    if not words:
        stderr(pages.show_page())
    elif words[0] in _VIEWS:
        _VIEWS[words[0]](session, _description(session))
    else:
        stdout(f"Unknown command '/show {words[0]}'. Type /? for help")


def _description(session: Session) -> Json:
    """Return what the server tells of the model with the session's settings."""
    request = {"name": session.model, "system": session.system, "options": session.options}
    try:
        return session.client.post("/api/show", request)
    except ApiError as error:
        stdout("error: couldn't get model")
        raise CliError(str(error)) from error


def _show_information(_: Session, description: Json) -> None:
    stderr(information(description).removesuffix("\n"))


def _show_parameters(session: Session, description: Json) -> None:
    stdout("Model defined parameters:")
    lines = description.get("parameters", "").splitlines()
    for line in lines or ["No additional parameters were specified for this model."]:
        stdout(f"  {line}")
    stdout()
    if session.options:
        stdout("User defined parameters:")
        for name, value in session.options.items():
            stdout(f"  {name:<30} {_printed(value)}")
        stdout()


def _show_system(session: Session, description: Json) -> None:
    text = session.system or description.get("system", "")
    stdout(f"{text}\n" if text else "No system message was specified for this model.")


def _show_text(description: Json, key: str, what: str) -> None:
    stdout(description.get(key) or f"No {what} was specified for this model.")


def _printed(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(value)}]"
    return printed(value) if isinstance(value, float) else str(value)


_VIEWS: Mapping[str, Callable[[Session, Json], None]] = {
    "info": _show_information,
    "license": lambda _, description: _show_text(description, "license", "license"),
    "modelfile": lambda _, description: stdout(description["modelfile"]),
    "parameters": _show_parameters,
    "system": _show_system,
    "template": lambda _, description: _show_text(description, "template", "prompt template"),
}
