"""Go's ``Sprintf`` for template values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pollama.prompts.gotemplate.formatting import Verb, format_operand
from pollama.prompts.gotemplate.values import INVALID, Value, type_name, unbox

_MAX_SIZE: Final = 1_000_000
"""Width, precision and argument index beyond which Go reports an error."""


def sprintf(template: str, operands: Sequence[Value]) -> str:
    """Return ``template`` with its verbs filled in; mistakes become text in it, as in Go."""
    return _Printf(template, operands).run()


class _Printf:
    """One pass over a format string."""

    def __init__(self, template: str, operands: Sequence[Value]) -> None:
        self._template = template
        self._operands = operands
        self._position = 0
        self._next = 0
        self._reordered = False
        self._bad_index = False
        self._parts: list[str] = []

    def run(self) -> str:
        while self._position < len(self._template):
            found = self._template.find("%", self._position)
            end = len(self._template) if found < 0 else found
            self._parts.append(self._template[self._position : end])
            self._position = end + 1
            if found >= 0:
                self._directive()
        if not self._reordered and self._next < len(self._operands):
            self._extra()
        return "".join(self._parts)

    def _directive(self) -> None:
        flags = self._flags()
        self._bad_index = False
        indexed = self._index()
        width, star_negative = self._size("(BADWIDTH)", indexed=indexed)
        indexed = indexed and width is None
        precision = None
        if self._peek() == ".":
            self._position += 1
            self._bad_index |= indexed
            indexed = self._index()
            precision, _ = self._size("(BADPREC)", indexed=indexed)
            precision = precision if precision is not None and precision >= 0 else 0
            indexed = False if self._template[self._position - 1 : self._position] == "*" else indexed
        if not indexed:
            self._index()
        if not self._peek():
            self._parts.append("%!(NOVERB)")
            return
        letter = self._peek()
        self._position += 1
        self._fill(Verb(letter, flags + ("-" if star_negative else ""), width, precision))

    def _fill(self, verb: Verb) -> None:
        if verb.letter == "%":
            self._parts.append("%")
        elif self._bad_index:
            self._parts.append(f"%!{verb.letter}(BADINDEX)")
        elif self._next >= len(self._operands):
            self._parts.append(f"%!{verb.letter}(MISSING)")
        else:
            self._parts.append(format_operand(self._operands[self._next], verb))
            self._next += 1

    def _flags(self) -> str:
        start = self._position
        while self._peek() in ("#", "0", "+", "-", " "):
            self._position += 1
        flags = self._template[start : self._position]
        return flags.replace("0", "") if "-" in flags else flags

    def _index(self) -> bool:
        """Take an argument index ``[n]``; true when there was one."""
        if self._peek() != "[":
            return False
        self._reordered = True
        close = self._template.find("]", self._position)
        text = self._template[self._position + 1 : close] if close >= 0 else ""
        self._position = close + 1 if close >= 0 else self._position + 1
        if not (text.isdecimal() and 1 <= int(text) <= len(self._operands)):
            self._bad_index = True
            return bool(text)
        self._next = int(text) - 1
        return True

    def _size(self, complaint: str, *, indexed: bool) -> tuple[int | None, bool]:
        """Take a width or precision: its value, and whether a ``*`` gave a negative one."""
        if self._peek() == "*":
            self._position += 1
            return self._star(complaint)
        start = self._position
        while self._peek().isdecimal():
            self._position += 1
        if start == self._position:
            return None, False
        self._bad_index |= indexed
        size = int(self._template[start : self._position])
        return (size if size <= _MAX_SIZE else None), False

    def _star(self, complaint: str) -> tuple[int | None, bool]:
        value = unbox(self._operands[self._next]) if self._next < len(self._operands) else INVALID
        self._next += self._next < len(self._operands)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_SIZE:
            self._parts.append(f"%!{complaint}")
            return None, False
        return abs(value), value < 0

    def _extra(self) -> None:
        shown = []
        for operand in self._operands[self._next :]:
            bare = unbox(operand)
            shown.append("<nil>" if bare is INVALID else f"{type_name(bare)}={format_operand(bare, Verb())}")
        self._parts.append(f"%!(EXTRA {', '.join(shown)})")

    def _peek(self) -> str:
        return self._template[self._position : self._position + 1]
