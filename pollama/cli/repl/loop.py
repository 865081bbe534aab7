"""The conversation: read, answer, again."""

from __future__ import annotations

from pathlib import Path

from pollama.cli.command import stdout
from pollama.cli.errors import ApiError, CliError
from pollama.cli.media import attach, file_names
from pollama.cli.repl.commands import SlashCommands
from pollama.cli.repl.editor import PROMPT, SYSTEM, LineEditor, quoted
from pollama.cli.repl.settings import Settings
from pollama.cli.session import Session
from pollama.config import Config
from pollama.types.json import Json


def converse(session: Session, config: Config) -> None:
    """Talk until the user leaves. Raises CliError when the server fails."""
    for message in session.description.get("messages") or ():
        _replay(message)
    conversation = _Conversation(session, LineEditor(config))
    while conversation.take_turn():
        pass


def _replay(message: Json) -> None:
    if message["role"] == "user":
        stdout(f"{PROMPT}{message['content']}")
    elif message["role"] == "assistant":
        stdout(f"{message['content']}\n")


class _Conversation:
    def __init__(self, session: Session, editor: LineEditor) -> None:
        self._session = session
        self._editor = editor
        self._settings = Settings(session, editor.history)
        self._commands = SlashCommands(session, self._settings)

    def take_turn(self) -> bool:
        """Read an entry and do what it says; False when the user leaves."""
        try:
            return self._obey(self._editor.read())
        except EOFError:
            stdout()
            return False
        except KeyboardInterrupt:
            stdout("\nUse Ctrl + d or /bye to exit.")
            return True

    def _obey(self, entry: str) -> bool:
        line = entry.strip()
        if (text := quoted(line)) is not None:
            self._say(text)
        elif (system := quoted(line, SYSTEM)) is not None:
            self._settings.set_system(system)
        elif line.startswith(("/bye", "/exit")):
            return False
        elif line and not self._commands.run(line):
            self._say_or_refuse(line)
        return True

    def _say_or_refuse(self, line: str) -> None:
        if line.startswith("/") and not (self._session.multimodal and _names_file(line)):
            stdout(f"Unknown command '{line.split(maxsplit=1)[0]}'. Type /? for help")
        else:
            self._say(line)

    def _say(self, text: str) -> None:
        """Send a message and show the answer. Raises CliError for what no further message can mend."""
        try:
            content, images = attach(text) if self._session.multimodal else (text, [])
        except CliError as error:
            stdout(str(error))
            return
        message = {"role": "user", "content": content} | ({"images": images} if images else {})
        try:
            self._session.chat(message)
        except KeyboardInterrupt:
            stdout("\n")
        except ApiError as error:
            if not _mendable(str(error)):
                raise


def _names_file(line: str) -> bool:
    return any(Path(name).exists() for name in file_names(line))


def _mendable(problem: str) -> bool:
    """Tell the user of a problem that the conversation survives; False for any other."""
    if "does not support thinking" in problem or "invalid think value" in problem:
        stdout(f"error: {problem}")
        return True
    if "upstream error" in problem:
        stdout("An error occurred while processing your message. Please try again.")
        return True
    return False
