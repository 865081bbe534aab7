"""The Modelfile language: commands from text and text from commands.

The lexer works character by character because the language does: a quoted value need not end on its own line,
nothing is escaped, and characters that are not printable vanish.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pollama.errors import BadRequestError

_ROLES: Final = ("system", "user", "assistant")
_KEYWORDS: Final = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
_TEXT_COMMANDS: Final = ("license", "template", "system", "adapter", "renderer", "parser", "requires", "draft")
_TRIPLE: Final = '"""'


class ModelfileError(BadRequestError):
    """A Modelfile cannot be understood; the text is Ollama's."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. FROM is named ``model``, a PARAMETER by the parameter; a MESSAGE has ``role: text`` as value."""

    name: str
    value: str

    def __str__(self) -> str:
        if self.name == "model":
            return f"FROM {self.value}"
        if self.name in _TEXT_COMMANDS:
            return f"{self.name.upper()} {_quoted(self.value)}"
        if self.name == "message":
            role, _, content = self.value.partition(": ")
            return f"MESSAGE {role} {_quoted(content)}"
        return f"PARAMETER {self.name} {_quoted(self.value)}"


def parse(source: bytes | str) -> list[Command]:
    """Return the commands of a Modelfile. Raises ModelfileError."""
    text = source if isinstance(source, str) else _decoded(source)
    commands = _Lexer(text.removeprefix("\ufeff")).commands()
    if not any(command.name == "model" for command in commands):
        raise ModelfileError("no FROM line")
    return commands


def render(commands: Iterable[Command]) -> str:
    """Return the text of a Modelfile, one command after the other, each ended by a line feed."""
    return "".join(f"{command}\n" for command in commands)


def _decoded(source: bytes) -> str:
    if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return source.decode("utf-16", "replace")
    return source.decode("utf-8", "replace")


def _quoted(text: str) -> str:
    if "\n" not in text and not text.startswith(" ") and not text.endswith(" "):
        return text
    quote = _TRIPLE if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _unquoted(text: str) -> str | None:
    """Return the value that ``text`` stands for, or None while a quote is still open."""
    trimmed = text.strip()
    for quote in (_TRIPLE, '"'):
        if trimmed.startswith(quote):
            closed = len(trimmed) >= 2 * len(quote) and trimmed.endswith(quote)
            return trimmed[len(quote) : -len(quote)] if closed else None
    return trimmed


class _Lexer:
    """A state machine; ``_state`` takes the next character, ``_buffer`` is what the state has gathered so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._commands: list[Command] = []
        self._line = 1
        self._state: Callable[[str], None] = self._start
        self._buffer: list[str] = []
        self._name = ""
        self._role = ""

    def commands(self) -> list[Command]:
        for character in self._text:
            self._line += _is_newline(character)
            self._state(character)
        self._finish()
        return self._commands

    def _finish(self) -> None:
        if self._state == self._value:
            self._end_value()
        if self._state not in (self._start, self._comment):
            raise ModelfileError("unexpected EOF")

    def _start(self, character: str) -> None:
        if character == "#":
            self._state = self._comment
        elif not _is_newline(character) and not _is_space(character):
            self._enter(self._keyword)
            self._buffer.append(character)

    def _comment(self, character: str) -> None:
        if _is_newline(character):
            self._state = self._start

    def _keyword(self, character: str) -> None:
        if _is_letter(character):
            self._buffer.append(character)
            return
        keyword = "".join(self._buffer).lower()
        if not _is_space(character) or keyword not in _KEYWORDS:
            raise ModelfileError(f"(line {self._line}): command must be one of {_choice(_KEYWORDS)}")
        self._name, self._role = ("model" if keyword == "from" else keyword), ""
        self._enter({"parameter": self._parameter, "message": self._message}.get(keyword, self._value))

    def _parameter(self, character: str) -> None:
        if _is_letter(character) or character in "0123456789_":
            self._buffer.append(character)
            return
        self._name = self._gathered(character)
        self._enter(self._value)

    def _message(self, character: str) -> None:
        if _is_letter(character):
            self._buffer.append(character)
            return
        role = self._gathered(character)
        if role not in _ROLES:
            raise ModelfileError(f"(line {self._line}): message role must be one of {_choice(_ROLES)}")
        self._role = f"{role}: "
        self._enter(self._value)

    def _value(self, character: str) -> None:
        if _is_newline(character):
            self._end_value()
            if self._state != self._value:
                return
        if character.isprintable() or character in "\t\n\r":
            self._buffer.append(character)

    def _end_value(self) -> None:
        value = _unquoted("".join(self._buffer))
        if value is not None:
            self._commands.append(Command(self._name, self._role + value))
            self._enter(self._start)

    def _gathered(self, character: str) -> str:
        """Return the word that ``character`` ends. Raises ModelfileError unless that is a space."""
        word = "".join(self._buffer)
        if not _is_space(character):
            raise ModelfileError(f"unexpected EOF: {word}")
        return word

    def _enter(self, state: Callable[[str], None]) -> None:
        self._state = state
        self._buffer = []


def _is_newline(character: str) -> bool:
    return character in "\n\r"


def _is_space(character: str) -> bool:
    return character in " \t"


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _choice(words: tuple[str, ...]) -> str:
    *some, last = (f'"{word}"' for word in words)
    return f"{', '.join(some)}, or {last}"
