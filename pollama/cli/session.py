"""What a run of a model carries from one request to the next."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pollama.cli.answer import AnswerView, print_statistics
from pollama.cli.client import Client
from pollama.cli.errors import ApiError, CliError
from pollama.cli.media import attach, takes_media
from pollama.cli.progress import Progress, Spinner
from pollama.types.human import format_duration, parse_duration
from pollama.types.json import Json

Think: TypeAlias = bool | str | None
THINK_LEVELS: Final = ("high", "medium", "low", "max")


def parse_think(text: str) -> bool | str:
    """Read the value of ``--think``. Raises CliError."""
    if text in ("", "true", "false"):
        return text != "false"
    if text not in THINK_LEVELS:
        raise CliError(f'invalid value for --think: "{text}" (must be true, false, high, medium, low, or max)')
    return text


def parse_keep_alive(text: str) -> str | int:
    """Read the value of ``--keepalive``, a duration in Go's notation; a negative one is for ever. Raises CliError."""
    try:
        nanoseconds = parse_duration(text)
    except ValueError as error:
        raise CliError(str(error)) from error
    return -1 if nanoseconds < 0 else format_duration(nanoseconds)


def parse_format(text: str) -> Json:
    """Read the value of ``--format``: ``json`` or a JSON schema; None when it is empty. Raises CliError."""
    if text in ("", "json"):
        return text or None
    try:
        return json.loads(text)
    except ValueError as error:
        raise CliError(f'--format takes "json" or a JSON schema: {error}') from error


@dataclass(slots=True, kw_only=True)
class Session:
    """A model and how to talk to it. ``description`` is the answer of /api/show."""

    client: Client
    model: str
    description: Json
    format: Json = None
    think: Think = None
    keep_alive: str | int | None = None
    wordwrap: bool = True
    verbose: bool = False
    hide_thinking: bool = False
    options: dict[str, Json] = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)
    system: str = ""

    @property
    def multimodal(self) -> bool:
        """Whether the model understands images or sounds."""
        return takes_media(self.description)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do."""
        return tuple(self.description.get("capabilities") or ())

    def load(self) -> None:
        """Load the model, with a spinner. Raises ApiError."""
        with Progress(clear=True) as progress:
            progress.add(Spinner())
            for _ in self.client.stream("/api/generate", self._request(prompt="")):
                pass

    def switch(self, model: str) -> None:
        """Go on with another model and an empty conversation. Raises ApiError; the session is unchanged then."""
        description = self.client.post("/api/show", {"model": model})
        self.model, self.description = model, description
        self.think = True if "thinking" in self.capabilities else None
        self.system = ""
        self.messages.clear()
        self.load()

    def save(self, model: str) -> None:
        """Create a model from this one and what the session added. Raises ApiError."""
        request = {
            "model": model,
            "from": self.description["details"].get("parent_model") or self.model,
            "system": self.system,
            "parameters": self.options,
            "messages": [message for message in self.messages if message["role"] != "system"],
        }
        for _ in self.client.stream("/api/create", {key: value for key, value in request.items() if value}):
            pass

    def clear(self) -> None:
        """Forget the conversation, but not the system message."""
        self.messages[:] = [{"role": "system", "content": self.system}] if self.system else []

    def complete(self, prompt: str) -> None:
        """Print the completion of one prompt."""
        prompt, images = attach(prompt) if self.multimodal else (prompt, [])
        request = self._request(prompt=prompt, context=[], images=images, options=self.options)
        with self._view() as view:
            last = self._follow(view, "/api/generate", request)
        if prompt:
            print("\n", flush=True)
        if self.verbose:
            print_statistics(last)

    def chat(self, message: Json) -> None:
        """Print the answer to a message and note both; when the user interrupts, the answer is not noted.

        Raises KeyboardInterrupt then, and ApiError when the server fails; the message is not noted then either.
        """
        self.messages.append(message)
        try:
            with self._view() as view:
                request = self._request(messages=self.messages, options=self.options)
                last = self._follow(view, "/api/chat", request)
        except ApiError:
            self.messages.pop()
            raise
        print("\n", flush=True)
        answer = {"role": "assistant", "content": view.text}
        self.messages.append(answer | ({"thinking": view.thinking} if view.thinking else {}))
        if self.verbose:
            print_statistics(last)

    def _view(self) -> AnswerView:
        return AnswerView(wordwrap=self.wordwrap, hide_thinking=self.hide_thinking)

    def _follow(self, view: AnswerView, path: str, request: Json) -> Json:
        """Show an answer as it arrives and return its last record."""
        last: Json = {}
        with closing(self.client.stream(path, request)) as records:
            for last in records:
                message = last.get("message", last)
                view.show_thinking(message.get("thinking", ""))
                view.show_text(message.get("content", message.get("response", "")))
                view.show_tool_calls(message.get("tool_calls"))
        return last

    def _request(self, **fields: Json) -> Json:
        """Return a request with what the session adds to each of them; nothing is sent that was not set."""
        optional = {"format": self.format, "think": self.think, "keep_alive": self.keep_alive}
        return {"model": self.model} | fields | {key: value for key, value in optional.items() if value is not None}
