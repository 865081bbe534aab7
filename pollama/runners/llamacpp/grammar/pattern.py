"""Regular expressions of ``pattern`` as grammar expressions, for the content of a JSON string."""

from __future__ import annotations

from typing import Final

from pollama.runners.llamacpp.grammar.rules import class_char, literal, repeated

_CLASSES: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": " "}
_SPECIAL: Final = frozenset("\\^$.|?*+()[]{}")
_INSIDE_STRING: Final = '"\\\\\\x7F\\x00-\\x1F'
_LINE_ENDS: Final = "\\x85\\u2028\\u2029"
_ANY: Final = f"[^{_INSIDE_STRING}{_LINE_ENDS}]"
_BEYOND_ASCII: Final = "\\x80-\\U0010FFFF"
"""Left out of negated classes: dialects differ in whether ``\\W`` is about all letters or those of ASCII."""


class PatternError(ValueError):
    """The regular expression uses something that a grammar cannot follow; the text says what."""


def pattern_expression(pattern: str) -> str:
    """Return an expression for strings that match ``pattern``; text may surround it where it has no ``^`` or ``$``.

    An anchor inside an alternative is refused. Raises PatternError. Uses the shared rule ``char``.
    """
    start, end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    body = pattern[1 if start else 0 : len(pattern) - end]
    expression = _Parser(body).whole()
    return " ".join(part for part in ("" if start else "char*", f"({expression})", "" if end else "char*") if part)


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
                return _ANY
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
        if char in _CLASSES:
            return f"[{_CLASSES[char]}]"
        if char.lower() in _CLASSES:
            return f"[^{_INSIDE_STRING}{_CLASSES[char.lower()]}{_BEYOND_ASCII}]"
        if char.isalnum():
            raise PatternError(f"the escape \\{char}")
        return _plain(char)

    def _class(self) -> str:
        begin, negated = self._at, self._peek() == "^"
        if negated:
            self._take()
        content = ""
        while self._peek() != "]" or not content:
            content += self._class_item()
        has_shorthand = any(f"\\{name}" in self._text[begin : self._at] for name in _CLASSES)
        self._take()
        outside = f"{_INSIDE_STRING}{_BEYOND_ASCII if has_shorthand else ''}"
        return f"[^{outside}{content}]" if negated else f"[{content}]"

    def _class_item(self) -> str:
        char = self._take()
        if char == "\\":
            char = self._take()
            if char in _CLASSES:
                return _CLASSES[char]
            if char.isalnum():
                raise PatternError(f"the escape \\{char} in a class")
            return _class_member(char)
        if char == "-":
            ranged = bool(self._peek()) and self._peek() != "]" and self._text[self._at - 2] != "["
            return "-" if ranged else _class_member(char)
        return _class_member(char)


def _class_member(char: str) -> str:
    if char in '"\\':
        raise PatternError(f"{char!r} in a class")
    return class_char(char)


def _plain(char: str) -> str:
    return literal({'"': '\\"', "\\": "\\\\"}.get(char, char))
