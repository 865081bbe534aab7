"""Wrapping words of a text that arrives in pieces and is shown at once."""

from __future__ import annotations

from typing import Final

from wcwidth import wcwidth

_MARGIN: Final = 5
"""Columns at the right that stay empty."""
_LEAST_COLUMNS: Final = 10


class WordWrap:
    """Turns pieces of text into what a terminal of ``columns`` must be sent.

    Characters go out as they come. When one does not fit, the word it belongs to is erased and begun anew on the next
    line. A word that is about as long as a line is left to the terminal to break.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._column = 0
        self._word = ""
        self._word_width = 0

    def feed(self, text: str) -> str:
        """Return what to print for the next piece."""
        if self._columns < _LEAST_COLUMNS:
            return text
        return "".join(map(self._place, text))

    def _place(self, character: str) -> str:
        if character in "\r\n":
            self._column = 0
            self._forget_word()
            return character
        width = max(wcwidth(character), 0)
        breaks = self._column + width > self._columns - _MARGIN and self._word_width <= self._columns - 2 * _MARGIN
        output = self._break_line() + character if breaks else character
        self._column = (self._column + width) % self._columns
        if character in " \t" or width > 1:
            self._forget_word()
        else:
            self._word += character
            self._word_width += width
        return output

    def _break_line(self) -> str:
        """Move the word that has begun to a new line."""
        back = f"\x1b[{self._word_width}D" if self._word_width else ""
        self._column = self._word_width
        return f"{back}\x1b[K\n{self._word}"

    def _forget_word(self) -> None:
        self._word = ""
        self._word_width = 0
