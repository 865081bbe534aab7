"""Regular expressions of ``pattern`` as grammar expressions, for the content of a JSON string."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pollama.runners.llamacpp.grammar.rules import class_char, literal, repeated

Range = tuple[str, str]

_SHORTHANDS: Final[dict[str, list[Range]]] = {
    "d": [("0", "9")],
    "w": [("A", "Z"), ("a", "z"), ("0", "9"), ("_", "_")],
    "s": [(" ", " ")],
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_SPECIAL: Final = frozenset("\\^$.|?*+()[]{}")
_ESCAPED: Final[list[Range]] = [("\x00", "\x1f"), ('"', '"'), ("\\", "\\"), ("\x7f", "\x7f")]
"""Characters that do not stand in a JSON string as they are."""
_SHORT_ESCAPES: Final = '"\\\b\f\n\r\t'
_LINE_ENDS: Final[list[Range]] = [("\x85", "\x85"), ("\u2028", "\u2029")]
_BEYOND_ASCII: Final[list[Range]] = [("\x80", "\U0010ffff")]
"""Left out of negated classes: dialects differ in whether ``\\W`` is about all letters or those of ASCII."""


class PatternError(ValueError):
    """The regular expression uses something that a grammar cannot follow; the text says what."""


def pattern_expression(pattern: str) -> str:
    """Return an expression for strings that match ``pattern``; text may surround it where it has no ``^`` or ``$``.

    An anchor inside an alternative is refused. Raises PatternError. Uses the shared rule ``char``.
    """
    start, end = pattern.startswith("^"), pattern.endswith("$") and not _ends_escaped(pattern[:-1])
    body = pattern[1 if start else 0 : len(pattern) - end]
    expression = _Parser(body).whole()
    return " ".join(part for part in ("" if start else "char*", f"({expression})", "" if end else "char*") if part)


def _ends_escaped(pattern: str) -> bool:
    """Tell whether the character behind ``pattern`` is escaped: whether an odd number of backslashes precedes it."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


class _Parser:
    """Recursive descent over alternatives, sequences and repeated atoms."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> str:
        """Return the expression of all of the text."""
        expression = self._alternatives()
        if self._at < len(self._text):
            raise PatternError("an unbalanced parenthesis")
        return expression

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise PatternError("an unexpected end")
        self._at += 1
        return char

    def _alternatives(self) -> str:
        branches = [self._sequence()]
        while self._peek() == "|":
            self._take()
            branches.append(self._sequence())
        return " | ".join(branches)

    def _sequence(self) -> str:
        items = []
        while self._peek() and self._peek() not in "|)":
            items.append(self._repeated_atom())
        return " ".join(items) or '""'

    def _repeated_atom(self) -> str:
        atom = self._atom()
        while self._peek() and self._peek() in "*+?{":
            atom = self._quantified(atom)
        return atom

    def _quantified(self, atom: str) -> str:
        sign = self._take()
        quantified = f"{atom}{sign}" if sign != "{" else repeated(atom, *self._bounds())
        if self._peek() == "?":  # what is matched is the same, only the order of trying differs
            self._take()
        return quantified

    def _bounds(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : end].partition(",")
        self._at = end + 1
        if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
            raise PatternError("a quantifier that is not {m}, {m,} or {m,n}")
        return int(low), int(high) if high else None if comma else int(low)

    def _atom(self) -> str:
        char = self._take()
        match char:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return _none_of(_LINE_ENDS)
            case "\\":
                return self._escape()
            case _ if char in _SPECIAL:
                raise PatternError(f"{char!r} in the middle")
            case _:
                return _plain(char)

    def _group(self) -> str:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise PatternError("a look-around or named group")
        inside = self._alternatives()
        if self._take() != ")":
            raise PatternError("an unbalanced parenthesis")
        return f"({inside})"

    def _escape(self) -> str:
        char = self._take()
        if char in _SHORTHANDS:
            return _one_of(_SHORTHANDS[char])
        if char.lower() in _SHORTHANDS:
            return _none_of([*_SHORTHANDS[char.lower()], *_BEYOND_ASCII])
        return _plain(_unescaped(char))

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._take()
        begin, ranges = self._at, list[Range]()
        while self._peek() != "]" or not ranges:
            ranges += self._class_item()
        has_shorthand = any(f"\\{name}" in self._text[begin : self._at] for name in _SHORTHANDS)
        self._take()
        return _none_of([*ranges, *(_BEYOND_ASCII if has_shorthand else ())]) if negated else _one_of(ranges)

    def _class_item(self) -> list[Range]:
        char = self._take()
        if char == "\\" and self._peek() in _SHORTHANDS:
            return _SHORTHANDS[self._take()]
        low = high = _unescaped(self._take()) if char == "\\" else char
        if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
            self._take()
            high = self._take()
            high = _unescaped(self._take()) if high == "\\" else high
        if low > high:
            raise PatternError(f"the range {low}-{high}, which is empty")
        return [(low, high)]


def _unescaped(char: str) -> str:
    """Return what a backslash and a character mean."""
    if char.isalnum() and char not in _ESCAPES:
        raise PatternError(f"the escape \\{char}")
    return _ESCAPES.get(char, char)


def _plain(char: str) -> str:
    return literal(json.dumps(char, ensure_ascii=False)[1:-1])


def _none_of(ranges: Iterable[Range]) -> str:
    return f"[^{''.join(map(_shown, [*_ESCAPED, *ranges]))}]"


def _one_of(ranges: Sequence[Range]) -> str:
    """Return an expression for one character; of those that have to be escaped the ones with a short escape."""
    unescaped = [part for one in ranges for part in _without_escaped(one)]
    parts = [f"[{''.join(map(_shown, unescaped))}]"] if unescaped else []
    parts += [_plain(char) for char in _SHORT_ESCAPES if any(low <= char <= high for low, high in ranges)]
    if not parts:
        raise PatternError("a class of characters that JSON cannot hold")
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def _without_escaped(one: Range) -> Iterator[Range]:
    """Yield the parts of a range between the characters that have to be escaped."""
    low, high = one
    for first, last in _ESCAPED:
        if low < first:
            yield low, min(high, chr(ord(first) - 1))
        low = max(low, chr(ord(last) + 1))
        if low > high:
            return
    yield low, high


def _shown(one: Range) -> str:
    low, high = one
    return class_char(low) if low == high else f"{class_char(low)}-{class_char(high)}"
