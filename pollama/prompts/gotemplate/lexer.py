"""Splits the text of a Go template into tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pollama.types.goquote import go_quote

LEFT: Final = "{{"
RIGHT: Final = "}}"
SPACES: Final = " \t\r\n"
KEYWORDS: Final = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with")
)


class Kind(Enum):
    """What a token is. ``KEYWORD`` includes the dot and ``nil``."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    IDENTIFIER = auto()
    KEYWORD = auto()
    FIELD = auto()
    VARIABLE = auto()
    BOOL = auto()
    NUMBER = auto()
    COMPLEX = auto()
    CHARACTER = auto()
    STRING = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    PIPE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    OTHER = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its offset in the template and its line, counted from 1."""

    kind: Kind
    text: str
    position: int
    line: int

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.KEYWORD:
            return f"<{self.text}>"
        if len(self.text) > 10:
            return go_quote(self.text[:10]) + "..."
        return go_quote(self.text)


class LexError(Exception):
    """The text is not made of tokens; ``line`` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


_SINGLE: Final = {"=": Kind.ASSIGN, "|": Kind.PIPE}
_QUOTED: Final = {
    '"': (Kind.STRING, "unterminated quoted string"),
    "'": (Kind.CHARACTER, "unterminated character constant"),
}
_DIGITS: Final = {
    "x": "0123456789abcdefABCDEF_",
    "o": "01234567_",
    "b": "01_",
}
_DECIMAL: Final = "0123456789_"


class Lexer:
    """Yields the tokens of a template one by one, so that an error is met only when the parser gets there."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._start = 0
        self._position = 0
        self._line = 1
        self._inside = False
        self._parentheses = 0

    def next(self) -> Token:
        """Return the next token; at the end, END again and again. Raises LexError."""
        while True:
            token = self._action_token() if self._inside else self._text_token()
            if token:
                return token

    # Text between actions.

    def _text_token(self) -> Token | None:
        if self._starts(LEFT):
            return self._left_delimiter()
        found = self._source.find(LEFT, self._position)
        if found < 0:
            return self._rest_token()
        end = found
        if self._trims_left(found + len(LEFT)):
            end = max(self._position, len(self._source[:found].rstrip(SPACES)))
        self._position = end
        token = self._emit(Kind.TEXT) if end > self._start else None
        self._position = found
        self._skip()
        return token

    def _rest_token(self) -> Token:
        if self._position < len(self._source):
            self._position = len(self._source)
            return self._emit(Kind.TEXT)
        return Token(Kind.END, "", self._position, self._line)

    def _left_delimiter(self) -> Token | None:
        marker = 2 if self._trims_left(self._position + len(LEFT)) else 0
        if self._source.startswith("/*", self._position + len(LEFT) + marker):
            self._position += len(LEFT) + marker
            self._comment()
            return None
        self._position += len(LEFT)
        token = self._emit(Kind.LEFT)
        self._position += marker
        self._skip()
        self._inside, self._parentheses = True, 0
        return token

    def _comment(self) -> None:
        self._skip()
        found = self._source.find("*/", self._position + 2)
        if found < 0:
            raise self._error("unclosed comment")
        self._position = found + 2
        if not self._at_right_delimiter():
            raise self._error("comment ends before closing delimiter")
        self._pass_right_delimiter()

    def _trims_left(self, at: int) -> bool:
        return self._source.startswith("-", at) and self._source[at + 1 : at + 2] in (*SPACES,)

    def _trims_right(self, at: int) -> bool:
        return self._source[at : at + 1] in (*SPACES,) and self._source.startswith("-" + RIGHT, at + 1)

    def _at_right_delimiter(self) -> bool:
        return self._trims_right(self._position) or self._starts(RIGHT)

    def _pass_right_delimiter(self) -> Token:
        trims = self._trims_right(self._position)
        self._position += 2 * trims
        self._skip()
        self._position += len(RIGHT)
        token = self._emit(Kind.RIGHT)
        while trims and self._peek() in (*SPACES,):
            self._position += 1
        self._skip()
        return token

    # Inside an action.

    def _action_token(self) -> Token | None:
        if self._at_right_delimiter():
            if self._parentheses:
                raise self._error("unclosed left paren")
            self._inside = False
            return self._pass_right_delimiter()
        first = self._peek()
        if not first:
            raise self._error("unclosed action")
        if first in SPACES:
            return self._space()
        if _is_word(first):
            return self._number() if first in _DECIMAL[:-1] else self._word()
        return self._symbol(first)

    def _space(self) -> Token | None:
        while self._peek() in (*SPACES,):
            self._position += 1
        if self._trims_right(self._position - 1):
            self._position -= 1
            if self._position == self._start:
                return None
        return self._emit(Kind.SPACE)

    def _symbol(self, first: str) -> Token:
        if first in "+-" or (first == "." and self._peek(1).isdecimal() and self._peek(1).isascii()):
            return self._number()
        if first in ".$":
            return self._field_or_variable(Kind.FIELD if first == "." else Kind.VARIABLE)
        if first in _QUOTED:
            return self._quoted(first)
        if first == "`":
            return self._raw_string()
        self._position += 1
        if first == ":":
            if self._peek() != "=":
                raise self._error("expected :=")
            self._position += 1
            return self._emit(Kind.DECLARE)
        if first in "()":
            return self._parenthesis(first)
        if first in _SINGLE:
            return self._emit(_SINGLE[first])
        if first.isascii() and first.isprintable():
            return self._emit(Kind.OTHER)
        raise self._error(f"unrecognized character in action: {_unicode(first)}")

    def _parenthesis(self, which: str) -> Token:
        self._parentheses += 1 if which == "(" else -1
        if self._parentheses < 0:
            raise self._error("unexpected right paren")
        return self._emit(Kind.LEFT_PAREN if which == "(" else Kind.RIGHT_PAREN)

    def _word(self) -> Token:
        self._accept_word()
        word = self._source[self._start : self._position]
        self._require_terminator()
        if word in KEYWORDS:
            return self._emit(Kind.KEYWORD)
        return self._emit(Kind.BOOL if word in ("true", "false") else Kind.IDENTIFIER)

    def _field_or_variable(self, kind: Kind) -> Token:
        self._position += 1
        if self._at_terminator():
            return self._emit(Kind.KEYWORD if kind is Kind.FIELD else kind)
        self._accept_word()
        self._require_terminator()
        return self._emit(kind)

    def _quoted(self, quote: str) -> Token:
        kind, complaint = _QUOTED[quote]
        self._position += 1
        while (character := self._peek()) != quote:
            if character == "\\":
                self._position += 1
                character = self._peek()
            if character in ("", "\n"):
                raise self._error(complaint)
            self._position += 1
        self._position += 1
        return self._emit(kind)

    def _raw_string(self) -> Token:
        found = self._source.find("`", self._position + 1)
        if found < 0:
            raise self._error("unterminated raw quoted string")
        self._position = found + 1
        return self._emit(Kind.STRING)

    def _number(self) -> Token:
        good = self._scan_number()
        if good and self._peek() in ("+", "-"):
            good = self._scan_number() and self._source[self._position - 1] == "i"
            if good:
                return self._emit(Kind.COMPLEX)
        if not good:
            raise self._error(f"bad number syntax: {go_quote(self._source[self._start : self._position])}")
        return self._emit(Kind.NUMBER)

    def _scan_number(self) -> bool:
        self._accept("+-")
        digits = _DECIMAL
        if self._accept("0"):
            base = self._peek().lower()
            if base in _DIGITS:
                self._position += 1
                digits = _DIGITS[base]
        self._accept_run(digits)
        if self._accept("."):
            self._accept_run(digits)
        if (digits is _DECIMAL and self._accept("eE")) or (digits is _DIGITS["x"] and self._accept("pP")):
            self._accept("+-")
            self._accept_run(_DECIMAL)
        self._accept("i")
        if _is_word(self._peek()):
            self._position += 1
            return False
        return True

    # Characters.

    def _peek(self, ahead: int = 0) -> str:
        at = self._position + ahead
        return self._source[at : at + 1]

    def _starts(self, text: str) -> bool:
        return self._source.startswith(text, self._position)

    def _accept(self, characters: str) -> bool:
        found = self._peek() in (*characters,)
        self._position += found
        return found

    def _accept_run(self, characters: str) -> None:
        while self._accept(characters):
            pass

    def _accept_word(self) -> None:
        while _is_word(self._peek()):
            self._position += 1

    def _at_terminator(self) -> bool:
        return self._peek() in ("", *SPACES, ".", ",", "|", ":", ")", "(") or self._starts(RIGHT)

    def _require_terminator(self) -> None:
        if not self._at_terminator():
            raise self._error(f"bad character {_unicode(self._peek())}")

    def _skip(self) -> None:
        self._line += self._source.count("\n", self._start, self._position)
        self._start = self._position

    def _emit(self, kind: Kind) -> Token:
        token = Token(kind, self._source[self._start : self._position], self._start, self._line)
        self._skip()
        return token

    def _error(self, message: str) -> LexError:
        return LexError(message, self._line)


def _is_word(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _unicode(character: str) -> str:
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"
