"""Stop strings over token borders."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Cut(msgspec.Struct, frozen=True):
    """Text that is final; ``stopped_by`` is the stop string that follows it, if one does."""

    text: str
    stopped_by: str = ""


class StopMatcher:
    """Finds the first stop string in text that arrives piece by piece.

    Pieces are never divided: while the text since the last delivery ends in what may become a stop string, all of it is
    held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, piece: str) -> Cut | None:
        """Take the next piece. None: held back."""
        if not self._stops:
            return Cut(piece)
        text = self._held + piece
        found = self._first_match(text)
        if found is not None:
            self._held = ""
            return found
        if self._may_go_on(text):
            self._held = text
            return None
        self._held = ""
        return Cut(text)

    def flush(self) -> str:
        """Return what was held back; the text ends here."""
        text, self._held = self._held, ""
        return text

    def _first_match(self, text: str) -> Cut | None:
        matches = [(text.find(stop), stop) for stop in self._stops]
        hits = [(position, stop) for position, stop in matches if position >= 0]
        if not hits:
            return None
        position, stop = min(hits, key=lambda hit: hit[0])
        return Cut(text[:position], stop)

    def _may_go_on(self, text: str) -> bool:
        return any(_ends_in_prefix(text, stop) for stop in self._stops)


def _ends_in_prefix(text: str, stop: str) -> bool:
    return any(text.endswith(stop[:length]) for length in range(min(len(text), len(stop) - 1), 0, -1))
