"""The slash commands of the conversation. Each takes the words behind it; what it prints is Ollama's wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pollama.cli.command import stderr, stdout
from pollama.cli.errors import ApiError, CliError
from pollama.cli.models import model_table
from pollama.cli.repl import help as pages
from pollama.cli.repl.history import FileHistory
from pollama.cli.session import THINK_LEVELS, Session
from pollama.cli.show import information
from pollama.errors import PollamaError
from pollama.models.recipe import parse_parameters
from pollama.types.gojson import printed
from pollama.types.goquote import go_quote
from pollama.types.json import Json


class SlashCommands:
    """Carries out slash commands on a session."""

    def __init__(self, session: Session, history: FileHistory) -> None:
        self._session = session
        self._history = history
        self._prefixes: Final[dict[str, Callable[[str], None]]] = {
            "/list": self._list,
            "/load": self._load,
            "/save": self._save,
            "/clear": self._clear,
            "/set": self._set,
            "/show": self._show,
            "/help": self._help,
            "/?": self._help,
        }
        self._settings: Final[dict[str, Callable[[Sequence[str]], None]]] = {
            "history": lambda _: self._set_history(True),
            "nohistory": lambda _: self._set_history(False),
            "wordwrap": lambda _: self._set_mode("wordwrap", True),
            "nowordwrap": lambda _: self._set_mode("wordwrap", False, "nowordwrap"),
            "verbose": lambda _: self._set_mode("verbose", True),
            "quiet": lambda _: self._set_mode("verbose", False, "quiet"),
            "think": self._set_think,
            "nothink": lambda _: self._set_mode("think", False, "nothink"),
            "format": self._set_format,
            "noformat": lambda _: self._unset_format(),
            "parameter": self._set_parameter,
        }
        self._views: Final[dict[str, Callable[[Json], None]]] = {
            "info": lambda description: stderr(information(description).removesuffix("\n")),
            "license": lambda description: _print_or(description, "license", "license"),
            "modelfile": lambda description: stdout(description["modelfile"]),
            "parameters": self._show_parameters,
            "system": self._show_system,
            "template": lambda description: _print_or(description, "template", "prompt template"),
        }

    def run(self, line: str) -> bool:
        """Carry out the command that ``line`` begins with; False when it begins with none."""
        for prefix, command in self._prefixes.items():
            if line.startswith(prefix):
                command(line)
                return True
        return False

    def set_system(self, text: str) -> None:
        """Put a system message at the end of the conversation, in the place of one that stands there."""
        if self._session.messages and self._session.messages[-1]["role"] == "system":
            self._session.messages.pop()
        self._session.messages.append({"role": "system", "content": text})
        self._session.system = text
        stdout("Set system message.")

    def _list(self, line: str) -> None:
        print(model_table(self._session.client, *line.split()[1:2]), end="", flush=True)

    def _load(self, line: str) -> None:
        words = line.split()
        if len(words) != 2:
            stdout("Usage:\n  /load <modelname>")
            return
        name = words[1]
        stdout(f"Loading model '{name}'")
        try:
            self._session.switch(name)
        except ApiError as error:
            if error.status != 404:
                raise
            stdout(f"Couldn't find model '{name}'")

    def _save(self, line: str) -> None:
        words = line.split()
        if len(words) != 2:
            stdout("Usage:\n  /save <modelname>")
            return
        name = words[1]
        try:
            self._session.save(name)
        except ApiError as error:
            if "invalid model name" not in str(error):
                raise
            stdout(f"error: The model name '{name}' is invalid")
        else:
            stdout(f"Created new model '{name}'")

    def _clear(self, line: str) -> None:
        self._session.clear()
        stdout("Cleared session context")

    def _help(self, line: str) -> None:
        topic = (line.split()[1:] or [""])[0]
        stderr(pages.topic_page(topic, multimodal=self._session.multimodal))

    def _set(self, line: str) -> None:
        words = line.split()[1:]
        if not words or words == ["system"]:
            stderr(pages.topic_page("set", multimodal=False))
        elif words[0] == "system":
            self.set_system(line.split(maxsplit=2)[2])
        elif words[0] in self._settings:
            self._settings[words[0]](words[1:])
        else:
            stdout(f"Unknown command '/set {words[0]}'. Type /? for help")

    def _set_history(self, saving: bool) -> None:
        self._history.saving = saving

    def _set_mode(self, attribute: str, value: bool, name: str = "") -> None:
        setattr(self._session, attribute, value)
        stdout(f"Set '{name or attribute}' mode.")

    def _set_think(self, words: Sequence[str]) -> None:
        level = words[0] if words else ""
        if level and level not in THINK_LEVELS:
            stdout(f"error: think level {go_quote(level)} is none of {', '.join(THINK_LEVELS)}")
            return
        self._session.think = level or True
        stdout(f"Set 'think' mode to '{level}'." if level else "Set 'think' mode.")
        if "thinking" not in self._session.capabilities:
            stderr(f'warning: model "{self._session.model}" does not support thinking output')

    def _set_format(self, words: Sequence[str]) -> None:
        if list(words) != ["json"]:
            stdout("Invalid or missing format. For 'json' mode use '/set format json'")
            return
        self._session.format = "json"
        stdout("Set format to 'json' mode.")

    def _unset_format(self) -> None:
        self._session.format = None
        stdout("Disabled format.")

    def _set_parameter(self, words: Sequence[str]) -> None:
        if len(words) < 2:
            stderr(pages.parameter_page())
            return
        name, *values = words
        try:
            self._session.options |= parse_parameters({name: values})
        except PollamaError as error:
            stdout(f"Couldn't set parameter: {go_quote(str(error))}")
        else:
            stdout(f"Set parameter '{name}' to '{', '.join(values)}'")

    def _show(self, line: str) -> None:
        words = line.split()[1:]
        if not words:
            stderr(pages.topic_page("show", multimodal=False))
        elif words[0] in self._views:
            self._views[words[0]](self._description())
        else:
            stdout(f"Unknown command '/show {words[0]}'. Type /? for help")

    def _description(self) -> Json:
        """Return what the server tells of the model with the session's settings. Raises CliError when it does not."""
        request = {"name": self._session.model, "system": self._session.system, "options": self._session.options}
        try:
            return self._session.client.post("/api/show", request)
        except ApiError as error:
            stdout("error: couldn't get model")
            raise CliError(str(error)) from error

    def _show_parameters(self, description: Json) -> None:
        stdout("Model defined parameters:")
        lines = description.get("parameters", "").splitlines()
        for line in lines or ["No additional parameters were specified for this model."]:
            stdout(f"  {line}")
        stdout()
        if self._session.options:
            stdout("User defined parameters:")
            for name, value in self._session.options.items():
                stdout(f"  {name:<30} {_printed(value)}")
            stdout()

    def _show_system(self, description: Json) -> None:
        text = self._session.system or description.get("system", "")
        stdout(f"{text}\n" if text else "No system message was specified for this model.")


def _print_or(description: Json, key: str, what: str) -> None:
    stdout(description.get(key) or f"No {what} was specified for this model.")


def _printed(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(value)}]"
    return printed(value) if isinstance(value, float) else str(value)
