"""The slash commands of a conversation; what they print is Ollama's wording."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pollama.cli.command import stderr, stdout
from pollama.cli.errors import ApiError
from pollama.cli.models import model_table
from pollama.cli.repl import help as pages
from pollama.cli.repl.settings import Settings
from pollama.cli.repl.views import show
from pollama.cli.session import Session


class SlashCommands:
    """Carries out slash commands on a session."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._commands: Mapping[str, Callable[[str], None]] = {
            "/list": self._list,
            "/load": self._load,
            "/save": self._save,
            "/clear": self._clear,
            "/set": settings.set,
            "/show": lambda line: show(session, line),
            "/help": self._help,
            "/?": self._help,
        }

    def run(self, line: str) -> bool:
        """Carry out the command whose name ``line`` begins with; False when it begins with none."""
        command = next((command for name, command in self._commands.items() if line.startswith(name)), None)
        if command is None:
            return False
        command(line)
        return True

    def _list(self, line: str) -> None:
        print(model_table(self._session.client, *line.split()[1:2]), end="", flush=True)

    def _load(self, line: str) -> None:
        name = _only_argument(line)
        if not name:
            stdout("Usage:\n  /load <modelname>")
            return
        stdout(f"Loading model '{name}'")
        try:
            self._session.switch(name)
        except ApiError as error:
            if error.status != 404:
                raise
            stdout(f"Couldn't find model '{name}'")

    def _save(self, line: str) -> None:
        name = _only_argument(line)
        if not name:
            stdout("Usage:\n  /save <modelname>")
            return
        try:
            self._session.save(name)
        except ApiError as error:
            if "invalid model name" not in str(error):
                raise
            stdout(f"error: The model name '{name}' is invalid")
        else:
            stdout(f"Created new model '{name}'")

    def _clear(self, _: str) -> None:
        self._session.clear()
        stdout("Cleared session context")

    def _help(self, line: str) -> None:
        stderr(pages.topic_page(_only_argument(line), multimodal=self._session.multimodal))


def _only_argument(line: str) -> str:
    """Return the word behind the command; "" when there is none, or more than one."""
    _, *words = line.split()
    return words[0] if len(words) == 1 else ""
