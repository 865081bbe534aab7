"""What was typed before, kept in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from prompt_toolkit.history import History

_MOST: Final = 100


class FileHistory(History):
    """The last hundred entries, one per line, readable by their owner only. Saving can be switched off."""

    def __init__(self, path: Path, *, saving: bool = True) -> None:
        super().__init__()
        self.saving = saving
        self._path = path
        self._entries = self._read()

    def load_history_strings(self) -> Iterable[str]:
        """Return the entries, newest first."""
        return reversed(self._entries)

    def store_string(self, string: str) -> None:
        """Write an entry to the file when saving is on."""
        if self.saving:
            self._entries = [*self._entries, string][-_MOST:]
            with suppress(OSError):  # a conversation goes on without its history
                self._write()

    def _read(self) -> list[str]:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [line.strip() for line in lines if line.strip()][-_MOST:]

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name("history.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{entry}\n" for entry in self._entries)
        temporary.replace(self._path)
