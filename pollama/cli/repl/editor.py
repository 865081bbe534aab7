"""Reading lines from the terminal, with Ollama's keys."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from pollama.cli.command import stderr
from pollama.cli.repl.history import FileHistory
from pollama.config import Config

PROMPT: Final = ">>> "
QUOTES: Final = '"""'
SYSTEM: Final = f"/set system {QUOTES}"
_CONTINUATION: Final = FormattedText([("fg:ansidefault", "... ")])
"""Styled, so that the blank at its end is really sent."""
_TAB: Final = " " * 8
_GREY: Final = "fg:ansibrightblack"


class LineEditor:
    """The input side of a conversation."""

    def __init__(self, config: Config) -> None:
        self.history = FileHistory(config.home / ".ollama" / "history", saving=not config.no_history)
        output = create_output()
        if isinstance(output, Vt100_Output):
            output.enable_cpr = False  # where it is not answered, a warning would appear in the conversation
        self._session: PromptSession[str] = PromptSession(
            output=output,
            history=self.history,
            key_bindings=_key_bindings(config.editor),
            multiline=True,
            prompt_continuation=_CONTINUATION,
            enable_suspend=True,
        )

    def read(self) -> str:
        """Return what the user enters. Raises EOFError at Ctrl-D on an empty line and KeyboardInterrupt at Ctrl-C."""
        return self._session.prompt(PROMPT, placeholder=FormattedText([(_GREY, "Send a message (/? for help)")]))


def quoted(entry: str, opening: str = QUOTES) -> str | None:
    """Return the text in triple quotes that an entry consists of, after ``opening``; None for another entry."""
    return entry.removeprefix(opening).removesuffix(QUOTES) if entry.startswith(opening) else None


def _is_open(entry: str) -> bool:
    """Tell whether Enter must not send an entry yet, because its triple quotes are not closed."""
    openings = (opening for opening in (QUOTES, SYSTEM) if entry.startswith(opening))
    return any(not entry.removeprefix(opening).endswith(QUOTES) for opening in openings)


def _key_bindings(editor: str) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _submit(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if _is_open(buffer.text.strip()):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("c-j")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab")
    def _indent(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_TAB)

    @keys.add("c-g")
    def _edit(event: KeyPressEvent) -> None:
        buffer = event.current_buffer

        def edit() -> None:
            text = edited(buffer.text, editor)
            if text:
                buffer.text = text
                buffer.cursor_position = len(text)

        run_in_terminal(edit)

    return keys


def edited(text: str, editor: str) -> str:
    """Return ``text`` as the user leaves it in an editor; "" when nothing came of it."""
    with tempfile.NamedTemporaryFile("w+", prefix="ollama-prompt-", suffix=".txt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        try:
            subprocess.run([*shlex.split(editor), file.name], check=True)
        except FileNotFoundError:
            stderr(f'error: editor "{editor}" not found, set OLLAMA_EDITOR to the path of your preferred editor')
            return ""
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            stderr(f"error: {error}")
            return ""
        return Path(file.name).read_text(encoding="utf-8", errors="replace").rstrip("\n")
