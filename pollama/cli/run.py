"""``run``: one answer, or a conversation."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any

from pollama.cli import flags
from pollama.cli.account import print_connect_text
from pollama.cli.client import Client
from pollama.cli.command import SOME, command, invoked_name, stderr, stdout
from pollama.cli.errors import ApiError, CliError, NotSignedInError
from pollama.cli.local_server import server_for
from pollama.cli.session import Session, parse_format, parse_keep_alive, parse_think
from pollama.cli.transfer import pull_model
from pollama.config import Config
from pollama.types import gojson
from pollama.types.json import Json


@command("run MODEL [PROMPT]", SOME, ("OLLAMA_EDITOR", "OLLAMA_HOST", "OLLAMA_NOHISTORY"), models=1)
@flags.integer("--dimensions", help="Truncate output embeddings to specified dimension (embedding models only)")
@flags.text("--format", help="Response format (e.g. json)")
@flags.switch("--hidethinking", help="Hide thinking output (if provided)")
@flags.switch("--insecure", help="Use an insecure registry")
@flags.text("--keepalive", help="Duration to keep a model loaded (e.g. 5m)")
@flags.switch("--nowordwrap", help="Don't wrap words to the next line automatically")
@flags.text(
    "--think",
    implied="true",
    help="Enable thinking mode: true/false or high/medium/low for supported models",
    default=None,
)
@flags.switch(
    "--truncate",
    default=None,
    help="For embedding models: truncate inputs exceeding context length (default: true). "
    "Set --truncate=false to error instead",
)
@flags.switch("--verbose", help="Show timings for response")
def run(arguments: tuple[str, ...], *, insecure: bool, **given: Any) -> None:
    """Run a model."""
    model, *words = arguments
    settings = {
        "format": parse_format(given["format"]),
        "think": None if given["think"] is None else parse_think(given["think"]),
        "keep_alive": parse_keep_alive(given["keepalive"]) if given["keepalive"] else None,
        "wordwrap": not given["nowordwrap"],
        "verbose": given["verbose"],
        "hide_thinking": given["hidethinking"],
    }
    prompt = None if sys.stdin.isatty() else _prompt(words, sys.stdin.read())
    if prompt is None and (words or not sys.stdout.isatty()):
        prompt = " ".join(words)
    config = Config.load()
    with server_for(config) as client:
        try:
            description = _describe(client, model, insecure=insecure)
            session = Session(client=client, model=model, description=description, **settings)
            _dispatch(session, config, prompt, given)
        except NotSignedInError as error:
            stdout("You need to be signed in to Ollama to run Cloud models.\n")
            print_connect_text(error.signin_url)


def _prompt(words: list[str], piped: str) -> str:
    return " ".join([*([piped] if piped else []), *words])


def _describe(client: Client, model: str, *, insecure: bool) -> Json:
    """Return what the server knows of a model, which is pulled first when it is not there."""
    try:
        return client.post("/api/show", {"model": model})
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    pull_model(client, model, insecure=insecure)
    return client.post("/api/show", {"model": model})


def _dispatch(session: Session, config: Config, prompt: str | None, given: dict[str, Any]) -> None:
    """Do what the model is for: embed, complete, or converse when there is no prompt."""
    if "image" in session.capabilities:
        raise CliError("image generation models are not currently supported")
    if "embedding" in session.capabilities:
        _embed(session, prompt or "", given)
        return
    if session.think is None and "thinking" in session.capabilities:
        session.think = True
    if prompt is None:
        _converse(session, config)
        return
    try:
        session.complete(prompt)
    except KeyboardInterrupt:
        stderr()


def _converse(session: Session, config: Config) -> None:
    from pollama.cli.repl.loop import converse  # noqa: PLC0415  (one answer needs no line editor)

    _announce_remote(session.description)
    session.load()
    converse(session, config)


def _announce_remote(description: Json) -> None:
    host = description.get("remote_host", "")
    if host.startswith("https://ollama.com"):
        stderr(f"Connecting to '{description['remote_model']}' on 'ollama.com' ⚡")
    elif host:
        stderr(f"Connecting to '{description['remote_model']}' on '{host}'")


def _embed(session: Session, text: str, given: dict[str, Any]) -> None:
    """Print the vector of a text."""
    if not text:
        raise CliError(
            f'embedding models require input text. Usage: {invoked_name()} run {session.model} "your text here"'
        )
    request: dict[str, Json] = {"model": session.model, "input": text}
    if session.keep_alive is not None:
        request["keep_alive"] = session.keep_alive
    if given["truncate"] is not None:
        request["truncate"] = given["truncate"]
    if given["dimensions"] > 0:
        request["dimensions"] = given["dimensions"]
    vectors = session.client.post("/api/embed", request)["embeddings"]
    if not vectors:
        raise CliError("no embeddings returned")
    stdout(gojson.dumps(vectors[0]))
