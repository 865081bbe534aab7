"""White space as Go's ``strings.TrimSpace`` knows it (Python's own set differs)."""

from __future__ import annotations

import re
from typing import Final

GO_SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_SPACES: Final = re.compile(f"[{re.escape(GO_SPACES)}]+")


def trim(text: str) -> str:
    """Return ``text`` without white space at either end."""
    return text.strip(GO_SPACES)


def split_words(text: str) -> list[str]:
    """Return the words of a text, as Go's ``strings.Fields`` does."""
    return [word for word in _SPACES.split(text) if word]


def split_first_word(text: str) -> tuple[str, str]:
    """Return what is before the first white space, and the rest with that white space."""
    found = _SPACES.search(text)
    end = found.start() if found else len(text)
    return text[:end], text[end:]
