"""``/set``: what a conversation can change about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pollama.cli.command import stderr, stdout
from pollama.cli.repl import help as pages
from pollama.cli.repl.history import FileHistory
from pollama.cli.session import THINK_LEVELS, Session
from pollama.errors import PollamaError
from pollama.models.recipe import parse_parameters
from pollama.types.goquote import go_quote


class Settings:
    """Changes a session as ``/set`` says."""

    def __init__(self, session: Session, history: FileHistory) -> None:
        self._session = session
        self._history = history

    def set(self, line: str) -> None:
        """Carry out a line that begins with ``/set``."""
        words = line.split()[1:]
        if not words or words == ["system"]:
            stderr(pages.set_page())
        elif words[0] == "system":
            self.set_system(line.split(maxsplit=2)[2])
        elif words[0] in _SETTINGS:
            _SETTINGS[words[0]](self, words[1:])
        else:
            stdout(f"Unknown command '/set {words[0]}'. Type /? for help")

    def set_system(self, text: str) -> None:
        """Put a system message at the end of the conversation, in the place of one that stands there."""
        if self._session.messages and self._session.messages[-1]["role"] == "system":
            self._session.messages.pop()
        self._session.messages.append({"role": "system", "content": text})
        self._session.system = text
        stdout("Set system message.")

    def set_history(self, *, saving: bool) -> None:
        """Begin or cease to write the history."""
        self._history.saving = saving

    def set_mode(self, name: str, attribute: str, *, value: bool) -> None:
        """Switch something on or off."""
        setattr(self._session, attribute, value)
        stdout(f"Set '{name}' mode.")

    def set_think(self, words: Sequence[str]) -> None:
        """Ask for thinking, at a level or at the model's own."""
        level = words[0] if words else ""
        if level and level not in THINK_LEVELS:
            stdout(f"error: think level {go_quote(level)} is none of {', '.join(THINK_LEVELS)}")
            return
        self._session.think = level or True
        stdout(f"Set 'think' mode to '{level}'." if level else "Set 'think' mode.")
        if "thinking" not in self._session.capabilities:
            stderr(f'warning: model "{self._session.model}" does not support thinking output')

    def set_format(self, words: Sequence[str]) -> None:
        """Ask for JSON."""
        if list(words) != ["json"]:
            stdout("Invalid or missing format. For 'json' mode use '/set format json'")
            return
        self._session.format = "json"
        stdout("Set format to 'json' mode.")

    def unset_format(self) -> None:
        """Ask for text again."""
        self._session.format = None
        stdout("Disabled format.")

    def set_parameter(self, words: Sequence[str]) -> None:
        """Set an option of the model."""
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


_SETTINGS: Mapping[str, Callable[[Settings, Sequence[str]], None]] = {
    "history": lambda settings, _: settings.set_history(saving=True),
    "nohistory": lambda settings, _: settings.set_history(saving=False),
    "wordwrap": lambda settings, _: settings.set_mode("wordwrap", "wordwrap", value=True),
    "nowordwrap": lambda settings, _: settings.set_mode("nowordwrap", "wordwrap", value=False),
    "verbose": lambda settings, _: settings.set_mode("verbose", "verbose", value=True),
    "quiet": lambda settings, _: settings.set_mode("quiet", "verbose", value=False),
    "think": Settings.set_think,
    "nothink": lambda settings, _: settings.set_mode("nothink", "think", value=False),
    "format": Settings.set_format,
    "noformat": lambda settings, _: settings.unset_format(),
    "parameter": Settings.set_parameter,
}
