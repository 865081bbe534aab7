"""Search for balanced brackets in a growing text, without looking at any character twice."""

from __future__ import annotations

import re


class BalanceScanner:
    """Finds spans from an opening bracket to the one that closes it; brackets in JSON strings do not count.

    Without ``floor`` a closing bracket that nothing opened makes the next opening one count for nothing.
    """

    def __init__(self, opening: str, closing: str, *, floor: bool = True) -> None:
        self._opening = opening
        self._floor = floor
        self._interesting = re.compile(rf'[{re.escape(opening + closing)}"\\]')
        self.reset()

    def reset(self) -> None:
        """Begin at the start of another text."""
        self._position = 0
        self._depth = 0
        self._start = 0
        self._in_string = False

    def next_span(self, text: str) -> tuple[int, int] | None:
        """Return start and end of the next balanced span; ``text`` must go on from what was scanned before."""
        while match := self._interesting.search(text, self._position):
            character = match.group()
            if character == "\\":
                if match.end() == len(text):
                    return None
                self._position = match.end() + 1
                continue
            self._position = match.end()
            if character == '"':
                self._in_string = not self._in_string
            elif not self._in_string and self._closes(character, match.start()):
                return self._start, match.end()
        self._position = len(text)
        return None

    def _closes(self, bracket: str, position: int) -> bool:
        """Count a bracket and tell whether it ends a span."""
        if bracket == self._opening:
            if not self._depth:
                self._start = position
            self._depth += 1
            return False
        if not self._depth and self._floor:
            return False
        self._depth -= 1
        return not self._depth
